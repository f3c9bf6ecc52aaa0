"""Hand-written fakes: small, honest stand-ins for the networks and for Label Studio, without any mocking library."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from mammo.detector import Detection
from mammo.geometry import Box, Spacing
from mammo.labelstudio.labeling_config import labeling_config
from mammo.masks import Mask
from mammo.models import ModelFiles
from mammo.pipeline import Prelabeller
from mammo.runs.jobs import Enqueued, Retrain
from mammo.segmenter import Segmentation

BRIGHT = 0.7
"""Calcifications of the fakes' mammograms are brighter than this, tissue is darker."""

SEES, BLIND = b"sees clusters", b"sees nothing"
"""What the fake weight files say about the network inside."""


class FakeDetector:
    """Boxes around groups of bright dots; a blind one proposes a corner of the image."""

    computes = "fake"

    def __init__(self, *, sees: bool = True) -> None:
        self.sees = sees

    def detect(self, pixels: np.ndarray, *, threshold: float, spacing: Spacing | None) -> list[Detection]:
        if not self.sees:
            return [Detection(Box(0, 0, 20, 20), 0.5)]
        groups = cv2.dilate((pixels > BRIGHT).astype(np.uint8), np.ones((31, 31), np.uint8))
        count, _, stats, _ = cv2.connectedComponentsWithStats(groups)
        boxes = [Box(x + 12, y + 12, x + w - 12, y + h - 12) for x, y, w, h, _ in stats[1:count].tolist()]
        return [Detection(box, 0.9) for box in boxes if threshold <= 0.9]


class FakeSegmenter:
    """The convex hull of the bright dots in the box."""

    computes = "fake"

    def embed(self, pixels: np.ndarray, box: Box, **_: object) -> np.ndarray:
        return pixels

    embed_click = embed

    def segment(
        self, embedding: np.ndarray, *, box: Box | None, points: Any = (), **_: object
    ) -> Segmentation:
        region = box or Box(0, 0, embedding.shape[1], embedding.shape[0])
        dots = np.argwhere(embedding[region.slices] > BRIGHT)
        if not len(dots):
            return self._answer(None, points)
        canvas = np.zeros((region.height, region.width), np.uint8)
        cv2.fillConvexPoly(canvas, cv2.convexHull(dots[:, ::-1].astype(np.int32)), 1)
        return self._answer(Mask(canvas.astype(np.bool_), region.x0, region.y0).tight(), points)

    @staticmethod
    def _answer(mask: Mask | None, points: Any) -> Segmentation:
        return Segmentation(
            mask=mask,
            presence=None,
            logits=None,
            roi=None,
            pixels_per_logit=1.0,
            spacing=None,
            points=tuple(points),
        )


class FakeNetworks:
    """Training that always succeeds: whatever it learns from, the challenger sees."""

    def __init__(self) -> None:
        self.trained_on: dict[str, list[str]] = {}

    def finetune_detector(self, train: list, validation: list, *, folder: Path, **_: Any) -> Path:
        self.trained_on["detector"] = [case.patient for case in train]
        return self._write(folder)

    def finetune_segmenter(self, train: list, validation: list, *, folder: Path, **_: Any) -> Path:
        self.trained_on["segmenter"] = [case.patient for case in train]
        return self._write(folder)

    def load(self, files: ModelFiles) -> Prelabeller:
        return fake_prelabeller(files)

    def libraries(self) -> dict[str, str]:
        return {"torch": "none"}

    @staticmethod
    def _write(folder: Path) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "weights.safetensors"
        path.write_bytes(SEES + folder.name.encode())
        return path


def fake_prelabeller(files: ModelFiles) -> Prelabeller:
    """The real pipeline around fake networks, which see if their weight file says so."""
    return Prelabeller(
        FakeDetector(sees=files.detector.read_bytes().startswith(SEES)),
        FakeSegmenter(),  # type: ignore[arg-type]
        version=files.version,
        threshold=files.threshold,
        prompt_rule=files.prompt_rule,
        prompt_count=files.prompt_count,
        presence_threshold=files.presence_threshold,
    )


class FakeQueue:
    """Keeps what was asked for; the test plays the worker."""

    def __init__(self) -> None:
        self.retrains: list[Retrain] = []

    def enqueue_retrain(self, payload: Retrain, *, run: str | None = None) -> Enqueued:
        created = not self.retrains
        if created:
            self.retrains.append(payload)
        return Enqueued(run or "retrain-1", created)

    def drop(self, job_id: str) -> bool:
        return False


class FakeLabelStudio:
    """A Label Studio in memory, as the backend's webhook and the worker's client see it."""

    def __init__(self, send: Callable[[dict[str, Any]], None]) -> None:
        """`send`: delivers a webhook's body."""
        self._send = send
        self._ids = itertools.count(1)
        self._clock = itertools.count()
        self._tasks: dict[int, dict[str, Any]] = {}
        self._predictions: dict[int, list[dict[str, Any]]] = {}
        self.model_version = ""

    def import_tasks(self, project: int, tasks: Sequence[Mapping[str, Any]]) -> list[int]:
        ids = [next(self._ids) for _ in tasks]
        self._tasks |= {
            i: {"id": i, "project": project, "data": dict(d)} for i, d in zip(ids, tasks, strict=True)
        }
        return ids

    def project(self, project: int) -> dict[str, Any]:
        return {"id": project, "label_config": labeling_config()}

    def tasks(self, project: int) -> Iterator[dict[str, Any]]:
        return iter(list(self._tasks.values()))

    def predictions(self, task: int) -> list[dict[str, Any]]:
        return self._predictions.get(task, [])

    def push_prediction(self, task: int, prediction: Mapping[str, Any]) -> int:
        self._predictions.setdefault(task, []).append({"id": next(self._ids), **prediction})
        return self._predictions[task][-1]["id"]

    def set_model_version(self, project: int, version: str) -> None:
        self.model_version = version

    def annotate(self, task: int, result: list[dict[str, Any]]) -> None:
        moment = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=next(self._clock))
        annotation = {
            "id": next(self._ids),
            "result": result,
            "task": task,
            "project": self._tasks[task]["project"],
            "completed_by": 1,
            "lead_time": 10.0,
            "was_cancelled": False,
            "created_at": moment.isoformat(),
            "updated_at": moment.isoformat(),
        }
        project = {"id": self._tasks[task]["project"]}
        self._send(
            {
                "action": "ANNOTATION_CREATED",
                "annotation": annotation,
                "task": self._tasks[task],
                "project": project,
            }
        )

    def start_training(self, project: int) -> None:
        self._send({"action": "START_TRAINING", "project": {"id": project}})
