"""Runs with a verdict on pictures, for the tests of pages and API."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from mammo.blobs import Blobs
from mammo.runs import RunLedger, Runs, claim
from mammo.verdicts.record import Image, Model, Picture
from tests.mammo.verdicts.records import CURVE, found, image, lesion, record


def webp(side: int, *, value: int = 90) -> bytes:
    done, encoded = cv2.imencode(".webp", np.full((side, side), value, np.uint8))
    assert done
    return encoded.tobytes()


def kept(blobs: Blobs, side: int, frame: tuple[int, int, int, int], *, value: int = 90) -> Picture:
    content = webp(side, value=value)
    return Picture(sha256=blobs.put(content), width=side, height=side, frame=frame, bytes=len(content))


def images(blobs: Blobs, *, lost: int = 1) -> tuple[Image, ...]:
    """`lost` images with a lesion that only the champion found and a new false alarm, and one that was won."""
    levels = tuple(kept(blobs, side, (0, 0, 400, 400)) for side in (64, 128))
    worse = [
        image((lesion(10, 10),), (found(10, 10, lesion=0, dice=0.7),), (found(90, 90),), size=(400, 400))
        for _ in range(lost)
    ]
    won = image((lesion(50, 50),), (), (found(50, 50, lesion=0),), size=(400, 400), task=8)
    return tuple(each.model_copy(update={"levels": levels}) for each in (*worse, won))


def judged_run(
    runs: Runs, blobs: Blobs, *, champion: str, challenger: str, lost: int = 1, **fields: Any
) -> str:
    """Make a run of project 3 that ended with a verdict, whose first lesion has a picture; returns its id."""
    name = runs.request(3, recipe="smoke", reason="a test", trigger="cli").run
    owned = claim(runs, name, owner="nowhere/1/1")
    assert owned is not None
    ledger = RunLedger(runs.engine, owned)
    for state in ("building", "detector", "segmenter", "evaluating", "judged"):
        ledger.enter(state)
    made = record(
        *images(blobs, lost=lost),
        run=name,
        champion=Model(version=champion, threshold=0.3, curve=CURVE),
        challenger=Model(version=challenger, threshold=0.4, curve=CURVE),
        crops={"0.lesion.0": kept(blobs, 32, (0, 0, 40, 40))},
        **fields,
    )
    pictures = {"record": blobs.put(made.to_bytes()), "pictures": sorted(made.pictures)}
    outcome = {"reason": made.reason, "champion": champion, "challenger": challenger, "pictures": pictures}
    ledger.end("kept", outcome, reason=made.reason)
    return name
