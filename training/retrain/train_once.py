"""Train one network of a run, once: reuse finished weights, and halve the batch when memory runs out."""

from __future__ import annotations

import gc
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, TypeVar

import structlog

from mammo.blobs import Blobs, hash_file
from mammo.errors import InvalidWeights
from mammo.runs import RunLedger, classify

R = TypeVar("R", bound=Any)
"""A recipe with a `batch`."""

Network = Literal["detector", "segmenter"]

log = structlog.get_logger()


def train_once(
    network: Network, train: Callable[[R], Path], *, recipe: R, folder: Path, ledger: RunLedger, blobs: Blobs
) -> Path:
    """Return the weights of a network: those of an earlier attempt, or newly trained ones.

    Args:
        network: also the name of its folder in the run folder.
        train: resumes where it was killed when it is called again with the same recipe.
        folder: the run folder.

    Returns:
        A safetensors file in the network's folder.
    """
    path = folder / network / f"{network}.safetensors"
    stored = ledger.result(network)
    if stored is not None:
        if path.is_file() and hash_file(path) == stored["sha256"]:
            return path
        try:  # another host trained it
            blobs.copy(stored["sha256"], to=path)
        except InvalidWeights:
            log.warning("weights of an earlier attempt are missing; training again", network=network)
        else:
            return path
    weights = _train(network, train, recipe=recipe, folder=folder, ledger=ledger)
    ledger.keep(network, {"sha256": blobs.put(weights)})
    return weights


def _train(
    network: Network, train: Callable[[R], Path], *, recipe: R, folder: Path, ledger: RunLedger
) -> Path:
    halved = ledger.result(f"{network} batch")
    if halved is not None:
        return train(replace(recipe, batch=halved["batch"]))
    try:
        return train(recipe)
    except Exception as error:
        if classify(error).kind != "out_of_memory" or recipe.batch < 2:
            raise
    # The exception, and the tensors that its frames held, are released here.
    # Remove the folder before the ledger is written: otherwise a kill in between would leave checkpoints of the larger
    # batch, which the run with the smaller one refuses.
    shutil.rmtree(folder / network, ignore_errors=True)
    batch = recipe.batch // 2
    ledger.keep(f"{network} batch", {"batch": batch})
    ledger.log(f"{network}: out of memory with a batch of {recipe.batch}; trying once more with {batch}")
    _free_memory()
    return train(replace(recipe, batch=batch))


def _free_memory() -> None:
    gc.collect()
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        torch.cuda.empty_cache()
