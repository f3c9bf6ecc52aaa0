"""DICOM results of labelled images: segmentations, measurement reports and Mammography CAD reports, as bytes."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from mammo.dicom.reports.mammography_cad import CadImage, write_mammography_cad
from mammo.dicom.reports.measurement_report import write_measurement_report
from mammo.dicom.reports.reading import read_report
from mammo.dicom.results import Predecessor, ResultSource, digest, result_source
from mammo.dicom.segmentation import write_segmentation
from mammo.errors import ImageNotFound, InvalidRegion, MammoError
from mammo.exchange.export.labelled_image import POINT_ONLY, LabelledImage, Refusal
from mammo.findings import Finding
from mammo.result_kinds import ResultKind


@dataclass(frozen=True, kw_only=True)
class Subject:
    """What one result is about: a mammogram, or for a CAD report the mammograms of a study."""

    images: tuple[LabelledImage, ...]
    source: ResultSource
    """Of the first image."""

    @property
    def name(self) -> str:
        """A safe file name without patient tags."""
        return self.images[0].name

    @property
    def content(self) -> str:
        """Digest of what the result says; that of an earlier result is equal if nothing has changed."""
        return digest(
            *(
                (image.findings, image.calcifications, (image.origin, image.num_calcifications, image.sha256))
                for image in self.images
            )
        )

    @property
    def num_findings(self) -> int:
        return sum(len(image.findings) for image in self.images)


def subjects(images: Iterable[LabelledImage], kind: ResultKind, refusals: list[Refusal]) -> Iterator[Subject]:
    """Yield what results of a kind are written about; images that no result can refer to are refused.

    A CAD report needs all images of its study, so these are collected first.
    """
    studies: dict[str, list[tuple[LabelledImage, ResultSource]]] = {}
    for image in images:
        try:
            if image.has_point:
                raise InvalidRegion(POINT_ONLY, code="point_only")
            if image.source is None:
                raise ImageNotFound("the DICOM file to which a result must refer is missing; restore it")
            source = result_source(image.source)
        except (MammoError, ValueError) as error:
            refusals.append(Refusal(image.name, str(error)))
            continue
        if kind == "cad-sr":
            studies.setdefault(source.study, []).append((image, source))
        else:
            yield Subject(images=(image,), source=source)
    for study in studies.values():
        yield Subject(images=tuple(image for image, _ in study), source=study[0][1])


def result(
    subject: Subject, kind: ResultKind, *, predecessor: Predecessor | None = None
) -> tuple[bytes | None, list[Refusal]]:
    """Return the DICOM file of a result, and what it cannot hold.

    Args:
        predecessor: the version that it replaces.

    Returns:
        None in place of the file, if nothing is left that it could hold.
    """
    writers = {"seg": _segmentation, "sr": _report, "cad-sr": _cad}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "result.dcm"
        try:
            refusals = writers[kind](path, subject.images, predecessor)
        except (MammoError, ValueError) as error:
            return None, [Refusal(subject.name, str(error))]
        return path.read_bytes() if path.exists() else None, refusals


def _segmentation(
    path: Path, images: Sequence[LabelledImage], predecessor: Predecessor | None
) -> list[Refusal]:
    """A DICOM Segmentation can neither be empty nor contain a box."""
    (image,) = images
    masked = [finding for finding in image.findings if finding.mask]
    refusals = []
    if len(masked) < len(image.findings):
        boxes = len(image.findings) - len(masked)
        reason = f"{boxes} findings have a box only, and a segmentation requires masks"
        refusals.append(Refusal(image.name, reason))
    if masked:
        write_segmentation(
            path,
            masked,
            source=_source(image),
            origin=image.origin,
            calcifications=image.calcifications,
            predecessor=predecessor,
        )
    return refusals


def _report(path: Path, images: Sequence[LabelledImage], predecessor: Predecessor | None) -> list[Refusal]:
    (image,) = images
    write_measurement_report(
        path,
        image.findings,
        source=_source(image),
        origin=image.origin,
        num_calcifications=image.counts,
        predecessor=predecessor,
    )
    _require_readable(path, images)
    return []


def _cad(path: Path, images: Sequence[LabelledImage], predecessor: Predecessor | None) -> list[Refusal]:
    described = [
        CadImage(
            source=_source(image),
            findings=image.findings,
            num_calcifications=image.counts,
            origin=image.origin,
        )
        for image in images
    ]
    write_mammography_cad(path, described, predecessor=predecessor)
    _require_readable(path, images)
    return []


def _require_readable(path: Path, images: Sequence[LabelledImage]) -> None:
    """Refuse a report that does not read back as the findings that it was written from; remove it."""
    for image in images:
        instance = result_source(_source(image)).instance
        back = [each.finding for each in read_report(path, image=instance, size=image.size).findings]
        outlines = [_runs(finding, image) for finding in image.findings if finding.mask]
        if len(back) != len(image.findings) or outlines != [_runs(each, image) for each in back if each.mask]:
            path.unlink()
            raise InvalidRegion(
                "the report does not read back as the findings it was written from; it is not sent"
            )


def _runs(finding: Finding, image: LabelledImage) -> object:
    """The mask of a finding in a form that compares by value."""
    return finding.mask and finding.mask.to_coco(image.size)


def _source(image: LabelledImage) -> Path | bytes:
    assert image.source is not None, "subjects have a source"
    return image.source
