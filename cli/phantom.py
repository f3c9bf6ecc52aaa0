"""`yolo-mlsam phantom`: synthetic patients as DICOM files, with their truth as DICOM Segmentation and COCO JSON."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import typer
from rich.console import Console
from rich.progress import track

from mammo.dicom import MammogramHeader, write_mammogram
from mammo.dicom.segmentation import Origin, write_segmentation
from mammo.errors import InvalidSettings
from mammo.exchange.export.formats import write_coco
from mammo.exchange.export.labelled_image import LabelledImage
from mammo.phantom import (
    DENSITIES,
    Appearance,
    Density,
    Extras,
    PhantomView,
    phantom_patient,
    vendor_a,
    vendor_b,
    vendor_c,
)
from mammo.phantom.exposure import BITS as RAW_BITS
from mammo.printable import printable

VENDORS = {"a": vendor_a, "b": vendor_b, "c": vendor_c}
ORIGIN = Origin(made_by="automatic", name="Yolo-MLSAM phantom", version="1")


@dataclass(frozen=True, kw_only=True)
class PhantomOptions:
    """What the command draws."""

    patients: int
    seed: int = 0
    """Of the first patient; the others follow it."""

    appearance: Appearance
    positive: float = 0.6
    """Probability that a breast has clusters."""

    density: Density | None = None
    extras: Extras | None = None
    for_processing: bool = False


def phantom_options(
    *,
    patients: int,
    seed: int,
    vendor: str,
    positive: float,
    density: str | None,
    for_processing: bool,
    extras: bool,
) -> PhantomOptions:
    """The options of the command line.

    Raises:
        InvalidSettings: no such vendor or density.
    """
    if vendor not in VENDORS:
        raise InvalidSettings(f"expected a --vendor of {', '.join(VENDORS)}, got {printable(vendor)}")
    chosen = next((known for known in DENSITIES if known == density), None)
    if density is not None and chosen is None:
        raise InvalidSettings(f"expected a --density of {', '.join(DENSITIES)}, got {printable(density)}")
    return PhantomOptions(
        patients=patients,
        seed=seed,
        appearance=VENDORS[vendor](),
        positive=positive,
        density=chosen,
        extras=Extras(marker=True, clip=True, distributions=True) if extras else None,
        for_processing=for_processing,
    )


def phantom_command(options: PhantomOptions, *, out: Path) -> None:
    """Draw patients into a folder; the same options give the same bytes.

    `PHANTOM-000007_LCC.dcm`, its `.seg.dcm` where it has clusters, its `.raw.dcm` for For Processing, and for all of
    them `coco.json` and `coco-polygons.json`, whose attributes name morphology, distribution and density.
    """
    out.mkdir(parents=True, exist_ok=True)
    numbers = range(options.seed, options.seed + options.patients)
    seeds = track(list(numbers), "Drawing", console=Console(stderr=True), transient=True)
    images = [image for seed in seeds for image in _patient(seed, options, out)]
    write_coco(images, out)
    clusters = sum(len(image.findings) for image in images)
    typer.echo(f"{options.patients} phantom patients, {len(images)} views, {clusters} clusters in {out}")


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
    drawn = (options.appearance, options.positive, options.density, options.extras)
    entropy = f"{name}/{hashlib.sha256(repr(drawn).encode()).hexdigest()}"
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
                {"morphology": words.morphology, "distribution": words.distribution}
                for words in view.descriptors
            ),
        )


def _write(path: Path, view: PhantomView, name: str, number: int, entropy: str, *, raw: bool = False) -> None:
    look = view.appearance
    if raw:
        assert view.raw is not None
        stored, bits = view.raw, RAW_BITS
    else:
        inverted = look.photometric == "MONOCHROME1"
        stored, bits = np.uint16(2**view.bits - 1) - view.stored if inverted else view.stored, view.bits
    header = MammogramHeader(
        laterality=view.laterality,
        view=view.view,
        spacing_mm=view.spacing_mm,
        bits=bits,
        patient_id=name,
        entropy=entropy,
        photometric="MONOCHROME1" if raw else look.photometric,
        number=number,
        manufacturer=f"SYNTHETIC {look.name}".upper(),
        syntax="rle",
        for_processing=raw,
    )
    write_mammogram(path, stored, header)
