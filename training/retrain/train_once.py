"""One network of a run, trained once: kept as a blob at its end; once more with half the batch if memory ran out."""

from __future__ import annotations

import gc
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import structlog

from mammo.blobs import Blobs, hash_file
from mammo.errors import InvalidWeights
from mammo.runs import RunLedger, classify

R = TypeVar("R", bound=Any)
"""A recipe with a `batch`."""

log = structlog.get_logger()


def train_once(
    stage: str, train: Callable[[R], Path], *, recipe: R, folder: Path, ledger: RunLedger, blobs: Blobs
) -> Path:
    """The weights of a stage: those of an earlier attempt, or trained now.

    Args:
        stage: `detector` or `segmenter`; also the name of its folder in the run folder.
        train: goes on where it was killed when it is called again.
        folder: the run folder.

    Returns:
        A safetensors file in the stage's folder.
    """
    path = folder / stage / f"{stage}.safetensors"
    done = ledger.result(stage)
    if done is not None:
        if path.is_file() and hash_file(path) == done["sha256"]:
            return path
        try:  # another host trained it
            blobs.copy(done["sha256"], to=path)
        except InvalidWeights:
            log.warning("weights of a stage are gone and are trained again", stage=stage)
        else:
            return path
    made = _train(stage, train, recipe=recipe, folder=folder, ledger=ledger)
    ledger.keep(stage, {"sha256": blobs.put(made)})
    return made


def _train(stage: str, train: Callable[[R], Path], *, recipe: R, folder: Path, ledger: RunLedger) -> Path:
    smaller = ledger.result(f"{stage} batch")
    if smaller is not None:
        return train(replace(recipe, batch=smaller["batch"]))
    try:
        return train(recipe)
    except Exception as error:
        if classify(error).kind != "out_of_memory" or recipe.batch < 2:
            raise
        wanted = recipe.batch
    # Out here the exception is gone, and with it what its frames held on to.
    # First the folder: a kill in between must not leave checkpoints of the batch that did not fit to the smaller one.
    shutil.rmtree(folder / stage, ignore_errors=True)
    ledger.keep(f"{stage} batch", {"batch": wanted // 2})
    ledger.log(f"{stage}: out of memory with a batch of {wanted}; once more with {wanted // 2}")
    _free_memory()
    return train(replace(recipe, batch=wanted // 2))


def _free_memory() -> None:
    gc.collect()
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        torch.cuda.empty_cache()
