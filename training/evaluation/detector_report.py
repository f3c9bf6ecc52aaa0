"""Report of a detector's evaluation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from training.evaluation.detector import AP_DRAWS, DetectorFigures, ScoredImage, breakdown
from training.evaluation.report import Report, Table
from training.metrics import RATES, Interval


def detector_report(
    scored: Sequence[ScoredImage],
    figures: DetectorFigures,
    *,
    facts: Mapping[str, Any],
    draws: int = 1000,
    seed: int = 0,
) -> Report:
    """Report on one detector and one set of images.

    Args:
        figures: result of `measure` on `scored`, with the same draws and seed.
    """
    parts = breakdown(scored, threshold=figures.threshold, draws=draws, seed=seed)
    tables = [_summary(figures), _curve(figures)]
    if parts:
        rows = [
            [kind, value, str(count), str(figure)]
            for kind, values in parts.items()
            for value, (count, figure) in values.items()
        ]
        columns = ["by", "value", "clusters", "sensitivity"]
        tables.append(Table(title="Sensitivity by kind of cluster", columns=columns, rows=rows))
    return Report(
        title="Detector",
        facts={**facts, **data_counts(scored), "intervals": interval_description(draws, seed)},
        tables=tables,
        figures={
            "measured": asdict(figures),
            "by": {kind: _with_counts(values) for kind, values in parts.items()},
        },
        curves={"detector": scored},
    )


def data_counts(scored: Sequence[ScoredImage]) -> dict[str, int]:
    """Number of patients, images and clusters."""
    return {
        "patients": len({image.patient for image in scored}),
        "images": len(scored),
        "clusters": sum(len(image.truth) for image in scored),
    }


def interval_description(draws: int, seed: int) -> str:
    return f"95 %, {draws} draws of patients, seed {seed}; for AP at most {AP_DRAWS} draws"


def _summary(figures: DetectorFigures) -> Table:
    rows = [
        ["threshold", f"{figures.threshold:g}"],
        ["sensitivity (TPR)", str(figures.sensitivity)],
        ["false positives per image", str(figures.false_positives)],
        ["precision", str(figures.precision)],
        ["F1", str(figures.f1)],
        ["AP50", str(figures.ap50)],
        ["AP50-95", str(figures.ap50_95)],
        ["median seconds per image", f"{figures.seconds:g}"],
    ]
    return Table(
        title="At the operating point",
        columns=["figure", "value (95 % CI)"],
        rows=rows,
        note="A detection hits a cluster if its centre lies in the cluster's box. AP follows COCO: by overlap.",
    )


def _curve(figures: DetectorFigures) -> Table:
    rows = [
        ["centre in box", *(str(figures.froc_centre[rate]) for rate in RATES)],
        ["IoU 0.5", *(str(figures.froc_iou50[rate]) for rate in RATES)],
    ]
    return Table(
        title="Sensitivity by false positives per image (FROC)",
        columns=["hit rule", *(f"{rate:g}" for rate in RATES)],
        rows=rows,
    )


def _with_counts(values: Mapping[str, tuple[int, Interval]]) -> dict[str, Any]:
    return {value: {"clusters": count, **asdict(figure)} for value, (count, figure) in values.items()}
