"""Phantom patients as training cases: a folder of DICOM files, with their truth in one JSON file."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np

from mammo.atomic_files import replacing
from mammo.blobs import hash_file
from mammo.dicom import Mammogram, MammogramHeader, patient_key, read_mammogram, write_mammogram
from mammo.findings import CLUSTER, Finding
from mammo.geometry import Spacing
from mammo.masks import Mask, union
from mammo.phantom import Appearance, Descriptor, PhantomView, phantom_patient, phantom_view
from training.cases import Case, Progress

TRUTH = "truth.json"
GENERATION = 4
"""Version of the pixels and the truth of a seed; folders of an older generation are drawn again."""

PHANTOM_SECRET = b"phantoms have no secrets"
"""Key of the patient keys; phantom patients need no protection, only stable keys."""

POSITIVE = 0.85
"""Default probability that a phantom's breast has clusters."""

LATERALITIES: Final[tuple[Literal["L", "R"], ...]] = ("L", "R")
VIEWS: Final[tuple[Literal["CC", "MLO"], ...]] = ("CC", "MLO")


@dataclass(frozen=True)
class Traits:
    """Properties of one phantom cluster, to break results down by."""

    morphology: str
    """BI-RADS descriptor."""

    density: str
    """BI-RADS density of the breast, a to d."""

    extent_mm: float
    """Longer side of the cluster's box."""


def write_phantom_patients(
    folder: Path,
    *,
    seeds: Sequence[int],
    appearance: Appearance,
    positive: float = 0.6,
    patient_secret: bytes,
    progress: Progress,
) -> list[Case]:
    """Draw the four views of each patient into a folder, unless an earlier call has drawn them.

    Args:
        folder: created if missing; receives `<patient>_<laterality><view>.dcm` and `truth.json`.
        seeds: one per patient. Use different seeds for training and evaluation.
        appearance: of the vendor.
        positive: probability that a breast has clusters.
        patient_secret: key of `patient_key`.

    Returns:
        The cases, patient by patient, in the order of `seeds`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    recipe = {"generation": GENERATION, "appearance": asdict(appearance), "positive": positive}
    document = _load(folder)
    if document.get("recipe") != recipe:
        document = {"recipe": recipe, "patients": {}}
    patients = document["patients"]
    names = [f"PHANTOM-{seed:06d}" for seed in seeds]
    for done, (name, seed) in enumerate(zip(names, seeds, strict=True)):
        progress(done / len(seeds), f"drawing phantom patient {done + 1} of {len(seeds)}")
        if not _is_complete(folder, patients.get(name)):
            views = phantom_patient(seed, appearance=appearance, positive=positive)
            patients[name] = [
                _write_view(folder, name, view, number) for number, view in enumerate(views, start=1)
            ]
            _save(folder, document)
    progress(1.0, f"{len(seeds)} phantom patients are ready")
    return [_case(folder, name, entry, patient_secret) for name in names for entry in patients[name]]


def read_phantom_traits(folder: Path) -> dict[str, tuple[Traits, ...]]:
    """The traits of the clusters of every image in a folder, in the order of `Case.truth`, by SHA-256 of the image."""
    document = json.loads((folder / TRUTH).read_bytes())
    return {
        entry["sha256"]: tuple(Traits(**cluster["traits"]) for cluster in entry["truth"])
        for entries in document["patients"].values()
        for entry in entries
    }


def _write_view(folder: Path, name: str, view: PhantomView, number: int) -> dict[str, Any]:
    look = view.appearance
    path = folder / f"{name}_{view.laterality}{view.view}.dcm"
    inverted = look.photometric == "MONOCHROME1"
    header = MammogramHeader(
        laterality=view.laterality,
        view=view.view,
        spacing_mm=view.spacing_mm,
        bits=view.bits,
        patient_id=name,
        entropy=f"{name}/{look.name}",
        photometric=look.photometric,
        number=number,
        manufacturer=f"SYNTHETIC {look.name}".upper(),
        syntax="rle",  # a third of the size; decoding takes no longer than reading the larger file
    )
    write_mammogram(path, np.uint16(2**view.bits - 1) - view.stored if inverted else view.stored, header)
    return {
        "file": path.name,
        "sha256": hash_file(path),
        "truth": [
            {"mask": finding.mask.to_coco(view.size), "traits": asdict(_traits(view, finding, descriptor))}
            for finding, descriptor in zip(view.truth, view.descriptors, strict=True)
            if finding.mask is not None
        ],
        "calcifications": united.to_coco(view.size) if (united := union(view.calcifications)) else None,
    }


def drawn_cases(seeds: Sequence[int], *, appearance: Appearance, width: int, height: int) -> Iterator[Case]:
    """Draw normal and positive phantom views in memory, one per patient, when they are needed.

    Args:
        seeds: one per view; every third view has no cluster, the others have two.
        width, height: of a view, in pixels; may be smaller than a real one.
    """
    for seed in seeds:
        clusters = 0 if seed % 3 == 0 else 2
        laterality, projection = LATERALITIES[seed % 2], VIEWS[seed // 2 % 2]
        view = phantom_view(
            seed,
            laterality=laterality,
            view=projection,
            clusters=clusters,
            appearance=appearance,
            width=width,
            height=height,
        )
        name = f"drawn-{appearance.name}-{seed}"
        mammogram = Mammogram(
            pixels=view.stored.astype(np.float32) / np.float32(2**view.bits - 1),
            spacing=Spacing(view.spacing_mm, view.spacing_mm, "imager"),
            laterality=laterality,
            view=projection,
            patient=name,
            sha256=hashlib.sha256(view.stored.tobytes()).hexdigest(),
            depth=view.bits,
        )
        yield Case(
            image=mammogram.sha256,
            patient=name,
            read=lambda mammogram=mammogram: mammogram,  # type: ignore[misc]
            truth=tuple(view.truth),
        )


def _traits(view: PhantomView, finding: Finding, descriptor: Descriptor) -> Traits:
    extent = max(finding.box.width, finding.box.height) * view.spacing_mm
    return Traits(descriptor.morphology, view.density, round(extent, 2))


def _case(folder: Path, name: str, entry: dict[str, Any], patient_secret: bytes) -> Case:
    truth = []
    for index, item in enumerate(entry["truth"]):
        mask = Mask.from_coco(item["mask"])
        assert mask is not None, "a phantom cluster has pixels"
        truth.append(Finding(label=CLUSTER, score=1.0, box=mask.frame, mask=mask, id=f"truth-{index}"))
    specks = Mask.from_coco(entry["calcifications"]) if entry["calcifications"] else None
    return Case(
        image=entry["sha256"],
        patient=patient_key(name, patient_secret),
        read=partial(read_mammogram, folder / entry["file"], patient_secret=patient_secret),
        truth=tuple(truth),
        reading="as the file states",
        calcifications=tuple(specks.components()) if specks else (),
    )


def _is_complete(folder: Path, entries: list[dict[str, Any]] | None) -> bool:
    return bool(entries) and all((folder / entry["file"]).is_file() for entry in entries or [])


def _load(folder: Path) -> dict[str, Any]:
    path = folder / TRUTH
    return json.loads(path.read_bytes()) if path.is_file() else {}


def _save(folder: Path, document: dict[str, Any]) -> None:
    """Replace the truth atomically: an interrupted call leaves the previous file."""
    with replacing(folder / TRUTH) as part:
        part.write_text(json.dumps(document))


def training_facts(look: str, seeds: range, *, positive: float = POSITIVE) -> dict[str, Any]:
    """Entries of a weights file that record the phantoms it was trained on.

    Args:
        look: name of the appearance.
    """
    return {"phantoms": {"appearance": look, "positive": positive, "train_seeds": [seeds.start, seeds.stop]}}
