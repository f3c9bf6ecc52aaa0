"""Phantom patients as DICOM files, with their truth as DICOM Segmentation and COCO JSON."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from mammo.dicom import MammogramHeader, write_mammogram
from mammo.dicom.results import Origin
from mammo.dicom.segmentation import write_segmentation
from mammo.exchange.export.formats import write_coco
from mammo.exchange.export.labelled_image import LabelledImage
from mammo.phantom import (
    Appearance,
    Density,
    Extras,
    PhantomView,
    phantom_patient,
)
from mammo.phantom.exposure import BITS as RAW_BITS

ORIGIN = Origin(made_by="automatic", name="Yolo-MLSAM phantom", version="1")


@dataclass(frozen=True, kw_only=True)
class PhantomOptions:
    """What to draw. The same options give the same bytes."""

    patients: int
    """Number of patients, four views each."""

    seed: int = 0
    """Seed of the first patient; the others have the following ones."""

    appearance: Appearance
    positive: float = 0.6
    """Probability that a breast has clusters."""

    density: Density | None = None
    """BI-RADS density; None: drawn at random for each patient."""

    extras: Extras | None = None
    for_processing: bool = False
    """Also write the raw detector values, as For Processing images."""


@dataclass(frozen=True, kw_only=True)
class PhantomCounts:
    """Number of views and clusters written."""

    views: int
    clusters: int


def write_phantoms(
    options: PhantomOptions,
    *,
    out: Path,
    progress: Callable[[list[int]], Iterable[int]] = lambda seeds: seeds,
) -> PhantomCounts:
    """Write phantom patients into a folder, which is made if missing.

    Each view becomes `PHANTOM-000007_LCC.dcm`, with `PHANTOM-000007_LCC.seg.dcm` if it has clusters and
    `PHANTOM-000007_LCC.raw.dcm` for For Processing. `coco.json` and `coco-polygons.json` describe all views; their
    attributes name morphology, distribution and density.

    Args:
        progress: wraps the list of seeds, for example in a progress bar.
    """
    out.mkdir(parents=True, exist_ok=True)
    seeds = progress(list(range(options.seed, options.seed + options.patients)))
    images = [image for seed in seeds for image in _patient(seed, options, out)]
    write_coco(images, out)
    return PhantomCounts(views=len(images), clusters=sum(len(image.findings) for image in images))


def _patient(seed: int, options: PhantomOptions, out: Path) -> Iterator[LabelledImage]:
    name = f"PHANTOM-{seed:06d}"
    views = phantom_patient(
        seed,
        appearance=options.appearance,
        positive=options.positive,
        density=options.density,
        extras=options.extras,
        for_processing=options.for_processing,
    )
    parameters = (options.appearance, options.positive, options.density, options.extras)
    entropy = f"{name}/{hashlib.sha256(repr(parameters).encode()).hexdigest()}"
    for number, view in enumerate(views, start=1):
        stem = f"{name}_{view.laterality}{view.view}"
        _write(out / f"{stem}.dcm", view, name, number, entropy)
        if view.raw is not None:
            _write(out / f"{stem}.raw.dcm", view, name, number, entropy, raw=True)
        findings = tuple(
            replace(finding, id=f"{stem}-{index}") for index, finding in enumerate(view.truth, start=1)
        )
        if findings:
            write_segmentation(
                out / f"{stem}.seg.dcm",
                findings,
                source=out / f"{stem}.dcm",
                origin=ORIGIN,
                calcifications=view.calcifications,
                synthetic=True,
            )
        yield LabelledImage(
            name=stem,
            file_name=f"{stem}.dcm",
            size=view.size,
            findings=findings,
            origin=ORIGIN,
            facts={
                "patient": name,
                "laterality": view.laterality,
                "view": view.view,
                "spacing_mm": view.spacing_mm,
                "density": view.density,
                "clip": view.clip.as_tuple() if view.clip else None,
                "marker": view.marker.as_tuple() if view.marker else None,
                "raw_file_name": None if view.raw is None else f"{stem}.raw.dcm",
            },
            attributes=tuple(
                {"morphology": descriptor.morphology, "distribution": descriptor.distribution}
                for descriptor in view.descriptors
            ),
        )


def _write(path: Path, view: PhantomView, name: str, number: int, entropy: str, *, raw: bool = False) -> None:
    appearance = view.appearance
    if raw:
        assert view.raw is not None
        stored, bits = view.raw, RAW_BITS
    else:
        inverted = appearance.photometric == "MONOCHROME1"
        stored, bits = np.uint16(2**view.bits - 1) - view.stored if inverted else view.stored, view.bits
    header = MammogramHeader(
        laterality=view.laterality,
        view=view.view,
        spacing_mm=view.spacing_mm,
        bits=bits,
        patient_id=name,
        entropy=entropy,
        photometric="MONOCHROME1" if raw else appearance.photometric,
        number=number,
        manufacturer=f"SYNTHETIC {appearance.name}".upper(),
        syntax="rle",
        for_processing=raw,
    )
    write_mammogram(path, stored, header)
