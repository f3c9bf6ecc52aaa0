"""Small normal breasts as background sets, and networks that are quick to train: to be blind, or to see specks."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np

from mammo.annotations import AnnotationStore
from mammo.backgrounds import Background, BackgroundSet
from mammo.blobs import Blobs
from mammo.dicom import Mammogram, encode_png
from mammo.findings import CLUSTER, Finding, ImageFindings
from mammo.geometry import Box, Spacing
from mammo.labelstudio.labeling_config import ControlTags
from mammo.masks import Mask
from mammo.models import ModelRegistry
from mammo.phantom.texture import difference_of_gaussians
from mammo.pixels import Pixels
from tests.training.detections import Found, square
from tests.training.project import Project, mammogram
from training.adapt.recipes import AdaptRecipe
from training.datasets.building import build_dataset_version
from training.datasets.sources import ReadOptions
from training.gate.gate import GateRule
from training.retrain.context import RetrainContext

HEIGHT, WIDTH, SPACING_MM = 320, 256, 0.2


SUSPICIOUS = Box(80, 150, 100, 170)
"""Where a suspicious image has bright specks."""


def normal_breast(seed: int, *, suspicious: bool = False) -> bytes:
    """An 8-bit PNG of 64 x 51 mm: a half disc of even tissue with white noise."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    inside = np.clip((1 - np.hypot(x / 220, (y - HEIGHT / 2) / 150)) * 4, 0, 1)
    tissue = inside * (0.4 + rng.normal(0, 0.012, inside.shape))
    if suspicious:
        for row, column in ((152, 83), (155, 92), (160, 86), (164, 95), (161, 97), (167, 84)):
            tissue[row : row + 2, column : column + 2] = 0.75
    return encode_png(np.rint(np.clip(tissue, 0, 1) * 255).astype(np.uint8))


def background_set(
    folder: Path,
    patients: Sequence[str],
    *,
    may_ship: bool = False,
    seed: int = 0,
    suspicious: Collection[int] = (),
) -> BackgroundSet:
    """One image per entry of `patients`, in files; the set has the folder's name.

    Args:
        suspicious: numbers of images with specks that nobody has annotated.
    """
    folder.mkdir(parents=True, exist_ok=True)
    backgrounds = []
    for number, patient in enumerate(patients):
        content = normal_breast(seed + number, suspicious=number in suspicious)
        path = folder / f"{number}.png"
        path.write_bytes(content)
        spacing = Spacing(SPACING_MM, SPACING_MM, "given")
        digest = hashlib.sha256(content).hexdigest()
        backgrounds.append(Background(path=path, spacing=spacing, patient=patient, sha256=digest))
    return BackgroundSet(
        name=folder.name,
        licence="consent of 2026",
        source="this test",
        may_ship=may_ship,
        patients_assumed=False,
        backgrounds=tuple(backgrounds),
    )


def specks(pixels: Pixels) -> list[Box]:
    """Boxes around groups of bright specks: what a trained detector would find in such images."""
    band = difference_of_gaussians(pixels, fine=0.6, coarse=2.0)
    tissue = cv2.erode((pixels > 0.25).astype(np.uint8), np.ones((9, 9), np.uint8)).astype(bool)
    if not tissue.any():
        return []
    deviation = 1.4826 * float(np.median(np.abs(band[tissue])))
    bright = ((band > 5 * deviation) & tissue).astype(np.uint8)
    joined = cv2.dilate(bright, np.ones((21, 21), np.uint8))
    count, _, stats, _ = cv2.connectedComponentsWithStats(joined)
    boxes = [Box(x, y, x + width, y + height) for x, y, width, height, _ in stats[1:count].tolist()]
    return [box for box in boxes if np.count_nonzero(bright[box.slices]) >= 3]


class FakeNetworks:
    """Training writes what the model will be; a model that sees finds groups of specks, a blind one nothing."""

    threads = 1

    def __init__(self) -> None:
        self.learns = "sees"
        self.calls: list[tuple[str, list[Any], list[Any]]] = []
        self.strong: set[str] = set()
        """Images in which every model is sure of a cluster, by SHA-256."""

    def finetune_detector(self, train: Any, validation: Any, *, folder: Path, **_: Any) -> Path:
        return self._train("detector", train, validation, folder)

    def finetune_segmenter(self, train: Any, validation: Any, *, folder: Path, **_: Any) -> Path:
        return self._train("segmenter", train, validation, folder)

    def _train(self, network: str, train: Any, validation: Any, folder: Path) -> Path:
        self.calls.append((network, list(train), list(validation)))
        assert all(case.read().pixels.size for case in train), "what is drawn can be read"
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{network}.safetensors"
        path.write_text(self.learns)
        return path

    def load(self, files: Any) -> SimpleNamespace:
        sees = files.detector.read_text() == "sees"

        def detect(mammogram: Mammogram, *, threshold: float | None) -> list[Found]:
            found = [Found(box, 0.8) for box in specks(mammogram.pixels)] if sees else []
            if mammogram.sha256 in self.strong:
                found.append(Found(SUSPICIOUS, 0.6))
            return found

        def prelabel(
            mammogram: Mammogram, *, threshold: float | None, detections: Any = None
        ) -> ImageFindings:
            found = [_finding(each) for each in detections or detect(mammogram, threshold=threshold)]
            return ImageFindings(findings=tuple(found), num_cut=0)

        return SimpleNamespace(
            version=files.version,
            threshold=files.threshold,
            detect=detect,
            prelabel=prelabel,
            runtimes={"detector": "fake runtime"},
        )

    def check_precision(self, files: Any, cases: Any, **_: Any) -> None:
        return None

    def libraries(self) -> dict[str, str]:
        return {"torch": "2.0"}


def _finding(found: Found) -> Finding:
    mask = Mask(np.ones((found.box.height, found.box.width), bool), found.box.x0, found.box.y0)
    return Finding(label=CLUSTER, score=found.score, box=found.box, mask=mask, id="c1", presence=0.9)


def context_of(engine: Any, store: AnnotationStore, folder: Path, networks: FakeNetworks) -> RetrainContext:
    """A site whose champion, `starter-1`, is blind."""
    registry = ModelRegistry(engine, folder / "blobs")
    starter = folder / "starter"
    starter.mkdir()
    manifest = {"version": "starter-1", "threshold": 0.3, "prompt_rule": "robust", "prompt_count": 3}
    (starter / "manifest.json").write_text(json.dumps(manifest))
    for network in ("detector", "segmenter"):
        (starter / f"{network}.safetensors").write_text("blind")
    registry.ensure_starter(starter)
    return RetrainContext(
        engine=engine,
        store=store,
        registry=registry,
        blobs=Blobs(folder / "blobs"),
        open_image=lambda data: mammogram(int(data["mammogram"].split(".")[0])),
        fingerprint=lambda data: None,
        secret=b"the tests",
        networks=networks,  # type: ignore[arg-type]
        runs=folder / "runs",
        models=folder / "models",
    )


def freeze(context: RetrainContext, patients: Sequence[str], *, project: int = 1) -> str:
    """Correct one task of each patient, and build the project's dataset version; returns its name."""
    tasks = Project(context.store, number=project)
    for number, patient in enumerate(patients, 1):
        tasks.annotate(number, [square(5, 5)], patient=patient)
    dataset = build_dataset_version(
        context.store,
        context.engine,
        context.blobs,
        project=project,
        open_image=tasks.open_image,
        options=ReadOptions(tags=ControlTags(), prefer=context.prefer, with_automatic=False),
    )
    return dataset.name


def recipe(*, min_patients: int = 4) -> AdaptRecipe:
    """Two copies of each image; the networks are fakes, so their recipes are names."""
    return AdaptRecipe(
        detector="detector recipe",  # type: ignore[arg-type]
        segmenter="segmenter recipe",  # type: ignore[arg-type]
        gate=GateRule(min_patients=min_patients),
        copies=1,
        held_out_copies=3,
    )
