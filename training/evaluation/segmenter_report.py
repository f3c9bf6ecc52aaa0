"""Report of a segmenter's evaluation: overlap, boundary, pixel rates, clicks and presence, with intervals."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from mammo.segmenter import Segmenter
from training.evaluation.calcifications import calcification_figures, score_calcifications
from training.evaluation.clicks import click_figures, score_clicks
from training.evaluation.clusters import measure_rois
from training.evaluation.report import Report, Table
from training.metrics import Interval, interval
from training.metrics.masks import BAND_MM, auc, mean_interval, rate_intervals
from training.segmenter.rois import TrainingRoi
from training.segmenter.validation import RoiAnswer, answer_rois


def segmenter_report(
    weights: Path, rois: Sequence[TrainingRoi], *, facts: Mapping[str, Any], seed: int = 0
) -> Report:
    """Evaluate a segmenter on regions, prompted by jittered true boxes, points and simulated clicks.

    Args:
        rois: clusters, and regions without one for the presence AUC. Clusters with known single calcifications are
            also evaluated at the calcification level.
        seed: of the jittered boxes.
    """
    segmenter = Segmenter.load(weights)
    answers = answer_rois(segmenter, rois, seed=seed)
    clusters = [answer for answer in answers if answer.kind == "cluster"]
    patients = [answer.patient for answer in clusters]
    scores = measure_rois(segmenter, [roi for roi in rois if roi.kind == "cluster"], seed=seed)
    owners = [score.patient for score in scores]
    figures = {
        "Dice, box": mean_interval([a.box for a in clusters], patients),
        "Dice, box and points": mean_interval([a.box_and_points for a in clusters], patients),
        "Dice, box and points minus box": mean_interval(
            [a.box_and_points - a.box for a in clusters], patients
        ),
        "Dice of the ellipse in the box": mean_interval([a.ellipse for a in clusters], patients),
        "mIoU": mean_interval([score.iou for score in scores], owners),
        f"mBIoU, band {BAND_MM} mm": mean_interval([score.boundary_iou for score in scores], owners),
        **{
            f"{name.upper()} (pixels of the region)": figure
            for name, figure in rate_intervals([score.pixels for score in scores], owners).items()
        },
        **presence_figures(answers),
    }
    single, joint = score_calcifications(segmenter, rois, seed=seed)
    fine_figures = calcification_figures(single, joint)
    clicks = click_figures(
        *(score_clicks(segmenter, rois, by_box=first, seed=seed) for first in (True, False))
    )
    tables = [
        _table("Given a box", figures),
        _table("Corrected by clicks on the largest error (simulated)", clicks),
    ]
    if fine_figures:
        title = "Calcification level: one calcification at a time, then a whole cluster"
        tables.append(_table(title, fine_figures))
    counts = {str(kind): sum(a.kind == kind for a in answers) for kind in sorted({a.kind for a in answers})}
    return Report(
        title="Segmenter",
        facts={
            **facts,
            "patients": len(set(patients)),
            **counts,
            "calcifications prompted": len(single),
            "seed of the boxes": seed,
        },
        tables=tables,
        figures={name: asdict(figure) for name, figure in {**figures, **clicks, **fine_figures}.items()},
    )


def _table(title: str, figures: Mapping[str, Interval]) -> Table:
    rows = [[name, str(figure)] for name, figure in figures.items()]
    return Table(title=title, columns=["figure", "value (95 % CI)"], rows=rows)


def presence_figures(answers: Sequence[RoiAnswer]) -> dict[str, Interval]:
    """AUC of clusters against each other kind of region; empty without a presence head."""
    figures = {}
    for kind in sorted({answer.kind for answer in answers} - {"cluster"}):
        compared = [a for a in answers if a.kind in ("cluster", kind) and a.presence is not None]
        scores = np.array([a.presence for a in compared], np.float64)
        true = np.array([a.kind == "cluster" for a in compared], np.bool_)

        def area(
            weights: np.ndarray[Any, np.dtype[np.float64]], scores: Any = scores, true: Any = true
        ) -> float:
            times = weights.astype(np.intp)
            return auc(np.repeat(scores, times).tolist(), np.repeat(true, times).tolist())

        if compared and not math.isnan(auc(scores.tolist(), true.tolist())):
            figures[f"presence AUC, cluster against {kind}"] = interval(
                area, [a.patient for a in compared], draws=500
            )
    return figures
