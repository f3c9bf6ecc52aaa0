"""What is mutated, and who reads it: each target reads one mutation as the product does, and says what came of it."""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from structlog.testing import capture_logs

from backend.answers import Json
from benchmarks.siege.mutating import mutated_bytes, mutated_document
from mammo.annotations import AnnotationStore
from mammo.database import open_database
from mammo.dicom import read_mammogram
from mammo.efforts.effort_records import effort_records
from mammo.exchange.datasets.contents import DatasetOptions
from mammo.exchange.datasets.reading import read_dataset
from mammo.geometry import Size
from mammo.labelstudio import ControlTags, rle, truth_regions
from mammo.labelstudio.rendering import to_regions
from mammo.masks import Mask
from mammo.models import ModelRegistry
from mammo.models.bundles import FORMAT, import_bundle
from mammo.trace import trace
from tests.backend.fakes import BASIC, HEIGHT, HOOK, WIDTH, Backend
from tests.mammo.dicom.encoders import ENCODERS, encoded
from tests.mammo.dicom.files import mammogram_file
from tests.mammo.dicom.pictures import breast_picture
from tests.mammo.exchange.datasets.miniatures import digital
from tests.mammo.models.hostile_bundles import members_of, signed, written
from tests.mammo.models.versions import POINT
from tests.training.detections import square
from training.datasets.annotation_reading import reading_errors

SECRET = b"the siege"
CONFIG = """<View>
  <Image name="image" value="$image"/>
  <RectangleLabels name="box" toName="image"><Label value="Cluster"/><Label value="Mass"/></RectangleLabels>
  <BrushLabels name="mask" toName="image"><Label value="Cluster"/></BrushLabels>
  <PolygonLabels name="outline" toName="image"><Label value="Cluster"/></PolygonLabels>
  <EllipseLabels name="oval" toName="image"><Label value="Cluster"/></EllipseLabels>
  <KeyPointLabels name="point" toName="image"><Label value="Cluster"/></KeyPointLabels>
  <TextArea name="note" toName="image"/>
</View>"""
TAGS = ControlTags.read(CONFIG)
EVENTS_PER_STORE = 100
"""Mutated events after which the store begins anew, because readers take longer with each."""


class Target(ABC):
    """One kind of input. Raises whatever the product raises that is no deliberate error."""

    @abstractmethod
    def attack(self, dice: random.Random) -> str:
        """Read one mutation; returns what came of it, such as an error code."""


class Clicks(Target):
    """The body of a click, sent to `POST /predict` of a backend with a small model."""

    def __init__(self, folder: Path) -> None:
        self._backend = Backend()
        mask = square(20, 20, name="c1").mask
        stroke = {"format": "rle", "rle": rle.encode(mask, size=Size(WIDTH, HEIGHT))}
        point = {"x": 10.0, "y": 20.0, "width": 0.3}
        box = {"x": 10.0, "y": 20.0, "width": 20.0, "height": 20.0, "rotation": 0}
        self._bodies = [
            _click(kind, value)
            for kind, value in (("keypointlabels", point), ("rectanglelabels", box), ("brushlabels", stroke))
        ]

    def attack(self, dice: random.Random) -> str:
        body = mutated_document(dice.choice(self._bodies), dice)
        with capture_logs() as logs:
            answer = self._backend.client.post("/predict", content=body, headers=BASIC)
        _require_answer(answer.status_code, logs)
        if answer.status_code != 200:
            return f"http_{answer.status_code}"
        reasons = [str(each.get("reason") or "answered") for each in answer.json()["results"] if each]
        if "failed" in reasons:
            raise AssertionError(f"the backend met an error that nobody expected: {logs[-3:]}")
        return reasons[0] if reasons else "nothing"


class Webhooks(Target):
    """An event, sent to `POST /webhook`, and then read by all that read annotations."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._number = 0
        self._open()
        findings = [square(20, 20, name="c1"), square(90, 60, name="c2")]
        size = Size(WIDTH, HEIGHT)
        drawn = truth_regions(findings, size=size, tags=TAGS, source="m1")
        painted = to_regions(findings, size=size, tags=TAGS.painted(), model_version="m1")
        self._predicted = to_regions(findings, size=size, tags=TAGS.outlined(), model_version="m1")
        self._results = [drawn, painted, self._predicted, [*painted, *_other_shapes()]]

    def _open(self) -> None:
        self._engine = open_database(f"sqlite:///{self._folder / f'{self._number}.db'}")
        self._store = AnnotationStore(self._engine)
        self._registry = ModelRegistry(self._engine, self._folder / "blobs")
        self._backend = Backend(store=self._store)

    def _renew(self) -> None:
        self._store.close()
        self._engine.dispose()
        for path in self._folder.glob(f"{self._number}.db*"):
            path.unlink()
        self._number += 1
        self._open()

    def attack(self, dice: random.Random) -> str:
        if self._store.last_event() >= EVENTS_PER_STORE:
            self._renew()
        number = self._store.last_event() + 1
        sizes = {"": Size(WIDTH, HEIGHT)} if dice.random() < 0.5 else {}
        self._store.record_prelabel(
            project=1, task=number, model_version="m1", regions=self._predicted, score=0.5, images={"": "ab" * 32},
            num_cut=0, shown=True, sizes=sizes,
        )  # fmt: skip
        body = mutated_document(_event(number, dice.choice(self._results)), dice)
        with capture_logs() as logs:
            answer = self._backend.client.post("/webhook", content=body, headers=HOOK)
        _require_answer(answer.status_code, logs)
        if answer.status_code != 201:
            return f"http_{answer.status_code}"
        return self._read()

    def _read(self) -> str:
        outcomes = []
        for project in self._store.projects():
            efforts = effort_records(
                project, store=self._store, engine=self._engine, secret=SECRET, tags=TAGS
            )
            errors = reading_errors(self._store.corrections(project)[-3:], TAGS)
            outcomes += [each.code for each in efforts.unreadable[-1:]] + [
                each.code for each in errors.values()
            ]
            self._store.corrections_since(project)
            self._store.patients_since(project)
        newest = self._store.revision_headers(1)[-1:]
        for header in newest:
            if header.annotation is not None:
                found = trace(
                    header.annotation, store=self._store, engine=self._engine, registry=self._registry,
                    secret=SECRET, tags=lambda _: TAGS,
                )  # fmt: skip
                Json(found.to_json())
        return outcomes[-1] if outcomes else "read"


class Bundles(Target):
    """A bundle: mutated as a file, or with a mutated manifest that a trusted key has signed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._registry = ModelRegistry(open_database(f"sqlite:///{folder / 'registry.db'}"), folder / "blobs")
        self._signer = Ed25519PrivateKey.generate()
        self._trusted = [self._signer.public_key().public_bytes_raw().hex()]
        weights = {part: f"{part} weights".encode() for part in ("detector", "segmenter")}
        source = ModelRegistry(open_database(f"sqlite:///{folder / 'source.db'}"), folder / "source")
        for part, content in weights.items():
            (folder / part).write_bytes(content)
        version = source.register(
            detector=folder / "detector", segmenter=folder / "segmenter", manifest=POINT
        )
        self._manifest = {
            key: value for key, value in source.manifest(version).items() if key != "created_at"
        }
        self._members = {f"{part}.safetensors": content for part, content in weights.items()}
        whole = signed(folder / "whole", self._members, self._signer, self._manifest)
        self._members, self._bundle = members_of(whole), whole.read_bytes()

    def attack(self, dice: random.Random) -> str:
        path = self._folder / "mutated"
        match dice.randrange(3):
            case 0:
                path.write_bytes(mutated_bytes(self._bundle, dice))
            case 1:
                name = dice.choice(sorted(self._members))
                written(path, self._members | {name: mutated_bytes(self._members[name], dice)})
            case _:
                text = mutated_document({"format": FORMAT, **self._manifest}, dice)
                signed(path, self._members, self._signer, text)
        import_bundle(self._registry, path, trusted=self._trusted)
        return "registered"


class Streams(Target):
    """The run lengths of a brush stroke."""

    def __init__(self, folder: Path) -> None:
        dice = np.random.default_rng(0)
        bitmap = np.zeros((300, 400), np.bool_)
        bitmap[50:200, 80:300] = dice.random((150, 220)) < 0.5
        masks = (square(20, 20, name="c1").mask, None)
        self._size = Size(400, 300)
        self._streams = [bytes(rle.encode(mask, size=self._size)) for mask in masks]
        self._streams.append(bytes(rle.encode(Mask(bitmap, 0, 0), size=self._size)))

    def attack(self, dice: random.Random) -> str:
        stream = mutated_bytes(dice.choice(self._streams), dice)
        if dice.random() < 0.7:  # with the right number of values, so that the tokens are read
            stream = (self._size.width * self._size.height * 4).to_bytes(4, "big") + stream[4:]
        mask = rle.decode(list(stream), size=self._size)
        return "empty" if mask is None else "decoded"


class DicomFiles(Target):
    """A mammogram as a DICOM file, in every transfer syntax."""

    def __init__(self, folder: Path) -> None:
        picture = breast_picture()[::4, ::4].copy()
        self._files = [mammogram_file()] + [encoded(picture, syntax) for syntax in ENCODERS]

    def attack(self, dice: random.Random) -> str:
        data = mutated_bytes(dice.choice(self._files), dice)
        read_mammogram(data, patient_secret=SECRET)
        return "read"


class CocoFiles(Target):
    """A COCO JSON file beside two mammograms."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        digital(folder / "p1_lcc.dcm", 1)
        digital(folder / "p2_rcc.dcm", 2)
        compressed = square(3, 4, name="c").mask
        counts = {"size": [48, 32], "counts": [48 * 3 + 4, 5, 48 * 29 - 9]}
        rows: list[dict[str, Any]] = [
            {"segmentation": counts, "bbox": [3, 4, 1, 5]},
            {"segmentation": [[10, 20, 14, 20, 14, 26, 10, 26]]},
            {"segmentation": [], "bbox": [20, 30, 5, 6]},
        ]
        if compressed is not None and compressed.frame.x1 <= 32 and compressed.frame.y1 <= 48:
            rows.append({"segmentation": compressed.to_coco(Size(32, 48))})
        images = [
            {"id": 1, "file_name": "p1_lcc.dcm", "width": 32, "height": 48, "laterality": "L", "view": "CC"}
        ]
        images.append({"id": 2, "file_name": "p2_rcc.dcm", "width": 32, "height": 48, "patient": "someone"})
        annotations = [{"id": n, "image_id": 1, "category_id": 9, **row} for n, row in enumerate(rows)]
        categories = [{"id": 5, "name": "Mass"}, {"id": 9, "name": "Microcalcification cluster"}]
        self._document = {"images": images, "categories": categories, "annotations": annotations}

    def attack(self, dice: random.Random) -> str:
        (self._folder / "coco.json").write_bytes(mutated_document(self._document, dice))
        options = DatasetOptions(kind="coco", folder=self._folder, patient_pattern="(p[0-9]+)_")
        summary = read_dataset(options, None, tags=TAGS)
        return "refused in part" if summary.refusals else "read"


def _click(kind: str, value: Mapping[str, Any]) -> dict[str, Any]:
    region = {
        "id": "k", "type": kind, "from_name": "prompt-point", "to_name": "image", "origin": "manual",
        "original_width": WIDTH, "original_height": HEIGHT, "image_rotation": 0, "is_positive": True,
        "value": {**value, kind: ["Cluster"], "labels": ["Cluster"]},
    }  # fmt: skip
    task = {"id": 7, "data": {"image": "/x.png", "sha256": "a" * 64}, "project": 3}
    return {"tasks": [task], "project": "3.1795411016", "params": {"context": {"result": [region, region]}}}


def _event(number: int, result: list[dict[str, Any]]) -> dict[str, Any]:
    annotation = {
        "id": number, "task": number, "result": result, "was_cancelled": False, "completed_by": 7, "lead_time": 3.5,
        "created_at": "2026-11-23T08:00:00.000000Z", "updated_at": "2026-11-23T08:00:01.000000Z",
        "prediction": {"model_version": "m1", "result": []},
    }  # fmt: skip
    data = {"image": f"/data/{number}.png", "patient": "p1", "spacing_mm": 0.07}
    return {
        "action": "ANNOTATION_CREATED",
        "annotation": annotation,
        "task": {"id": number, "data": data},
        "project": {"id": 1, "title": "siege"},
    }


def _other_shapes() -> list[dict[str, Any]]:
    """Regions of shapes that this service does not draw itself."""
    outline = [[60.0, 60.0], [70.0, 60.0], [65.0, 80.0]]
    values: list[tuple[str, str, dict[str, Any]]] = [
        ("polygonlabels", "outline", {"points": outline, "closed": True}),
        ("ellipselabels", "oval", {"x": 20.0, "y": 80.0, "radiusX": 4.0, "radiusY": 3.0, "rotation": 10}),
        ("rectanglelabels", "box", {"x": 40.0, "y": 5.0, "width": 5.0, "height": 6.0, "rotation": 30}),
        ("keypointlabels", "point", {"x": 90.0, "y": 90.0, "width": 0.3}),
        ("textarea", "note", {"text": ["seen"]}),
    ]
    size = {"original_width": WIDTH, "original_height": HEIGHT, "image_rotation": 0}
    return [
        {"id": f"o{number}", "type": kind, "from_name": control, "to_name": "image", **size,
         "value": {**value, **({kind: ["Cluster"]} if kind.endswith("labels") else {})}}
        for number, (kind, control, value) in enumerate(values)
    ]  # fmt: skip


def _require_answer(status: int, logs: Sequence[Any]) -> None:
    if status >= 500:
        raise AssertionError(f"the backend answered {status}: {logs[-3:]}")


TARGETS: Mapping[str, Callable[[Path], Target]] = {
    "click": Clicks,
    "webhook": Webhooks,
    "bundle": Bundles,
    "rle": Streams,
    "dicom": DicomFiles,
    "coco": CocoFiles,
}
