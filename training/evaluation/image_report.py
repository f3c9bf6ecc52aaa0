"""Report of `evaluate images`: models and the baseline side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from training.evaluation.detector import ScoredImage
from training.evaluation.image_cases import EvaluationSet
from training.evaluation.image_figures import SCORES, SIZE_RATE, ImageFigures
from training.evaluation.report import Report, Table
from training.metrics import RATES, Interval

TITLE = "Detectors on images"


@dataclass(frozen=True, kw_only=True)
class MeasuredDetector:
    """One detector with its detections and figures."""

    name: str
    """Unique in the report."""

    sha256: str
    """Of the weights; empty for the baseline."""

    scored: Sequence[ScoredImage]
    figures: ImageFigures


def image_report(
    measured: Sequence[MeasuredDetector],
    evaluated: EvaluationSet,
    *,
    facts: Mapping[str, Any],
    pictures: Mapping[str, str],
) -> Report:
    """Report on detectors that saw the same images.

    Args:
        facts: sources, rules, bootstrap.
        pictures: contact sheets, title to file name.
    """
    per = "normal image" if evaluated.on_normals else "image"
    tables = [_operating_point(measured, per), _by_score(measured, per)]
    if any(each.figures.num_lesions for each in measured):
        tables = [_froc(measured, per), tables[0], *_by_size(measured, per), tables[1]]
    if evaluated.left_out:
        rows = [[each.where, each.reason] for each in evaluated.left_out]
        tables.append(Table(title="Left out", columns=["what", "why"], rows=rows))
    weights = {f"weights of {each.name}": each.sha256 for each in measured if each.sha256}
    return Report(
        title=TITLE,
        facts={**facts, **set_facts(evaluated), **weights},
        tables=tables,
        figures={
            "detectors": {each.name: asdict(each.figures) for each in measured},
            "images": [
                {
                    "name": image.name,
                    "image": image.case.image,
                    "normal": image.is_normal,
                    "spacing_mm": [image.spacing.row_mm, image.spacing.column_mm],
                    "spacing_source": image.spacing.source,
                    "breast_cm2": round(image.breast_cm2, 2),
                }
                for image in evaluated.images
            ],
            "left_out": [{"what": each.where, "why": each.reason} for each in evaluated.left_out],
        },
        curves={each.name: each.scored for each in measured},
        on_normals=evaluated.on_normals,
        pictures=pictures,
    )


def set_facts(evaluated: EvaluationSet) -> dict[str, Any]:
    """Numbers of images, lesions and patients; and a warning where the intervals mean nothing."""
    normals, images = evaluated.num_normals, len(evaluated.images)
    patients = {image.case.patient for image in evaluated.images}
    facts: dict[str, Any] = {
        "normal images": normals,
        "positive images": images - normals,
        "lesions": sum(len(image.case.truth) for image in evaluated.images),
        "patients": len(patients),
        "breast area": f"{sum(image.breast_cm2 for image in evaluated.images):.0f} cm²",
    }
    if len(patients) == 1 and images > 1:
        facts["warning"] = (
            "all images are of one patient (is the PatientID a placeholder?): there are no intervals"
        )
    return facts


def _froc(measured: Sequence[MeasuredDetector], per: str) -> Table:
    def cell(figures: ImageFigures, rate: float) -> str:
        return _counted(figures.froc[rate], figures.found[rate], figures.num_lesions)

    return Table(
        title=f"Sensitivity by false positives per {per} (FROC)",
        columns=["detector", *(f"{rate:g}" for rate in RATES)],
        rows=[[each.name, *(cell(each.figures, rate) for rate in RATES)] for each in measured],
        note="Sensitivity (95 % CI), lesions found of all. A detection hits a lesion if its centre lies in the "
        "lesion's box. A rate means the same for all detectors, whatever their scores mean.",
    )


def _operating_point(measured: Sequence[MeasuredDetector], per: str) -> Table:
    rows = [
        [
            each.name,
            f"{each.figures.threshold:g}",
            _counted(each.figures.sensitivity, each.figures.num_found, each.figures.num_lesions),
            str(each.figures.false_positives),
            str(each.figures.clean),
            str(each.figures.false_positives_cm2),
            str(each.figures.iou),
            f"{each.figures.seconds:g}",
        ]
        for each in measured
    ]
    return Table(
        title="At the operating point",
        columns=[
            "detector",
            "score",
            "sensitivity",
            f"false positives per {per}",
            "normal images without a finding",
            "false positives per cm² of breast",
            "IoU per lesion",
            "seconds per image",
        ],
        rows=rows,
        note="The score is the one at which the detector's findings are shown to readers. IoU per lesion: the highest "
        "overlap of its box with a finding, 0 if there is none. IoU per object and false positives per cm² are the "
        "measures of HDoGReg (arXiv 2102.00754), whose objects are single calcifications; here they are groups.",
    )


def _by_size(measured: Sequence[MeasuredDetector], per: str) -> list[Table]:
    sizes = list(measured[0].figures.by_size)
    tables = []
    for title, at in (
        ("at the operating point", "at_operating_point"),
        (f"at {SIZE_RATE:g} false positive per {per}", "at_rate"),
    ):
        rows = [
            [
                size,
                str(measured[0].figures.by_size[size].lesions),
                *(str(getattr(each.figures.by_size[size], at)) for each in measured),
            ]
            for size in sizes
        ]
        tables.append(
            Table(
                title=f"Sensitivity by lesion size, {title}",
                columns=["longer side", "lesions", *(each.name for each in measured)],
                rows=rows,
            )
        )
    return tables


def _by_score(measured: Sequence[MeasuredDetector], per: str) -> Table:
    return Table(
        title=f"False positives per {per}, by score",
        columns=["detector", *(f"{score:g}" for score in SCORES)],
        rows=[[each.name, *(str(each.figures.by_score[score]) for score in SCORES)] for each in measured],
    )


def _counted(figure: Interval, found: int, lesions: int) -> str:
    return f"{figure}, {found} of {lesions}" if lesions else "-"
