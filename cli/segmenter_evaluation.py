"""What `yolo-mlsam evaluate segmenter` does."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from cli.case_source import CaseSource
from cli.progress import progress_bar
from mammo.errors import InsufficientData

if TYPE_CHECKING:
    from training.case_sets import CaseSet
    from training.cases import Progress
    from training.segmenter.rois import TrainingRoi


def evaluate_weights(source: CaseSource, weights: Path, *, out: Path) -> list[Path]:
    """Measure overlap, boundary, pixel rates and presence of one segmenter; return the files written."""
    from mammo.segmenter.weights import load_segmenter
    from training.case_sets import trained_on_warning
    from training.evaluation.segmenter_report import segmenter_report

    with progress_bar("evaluate") as progress, source.open(["test"], progress=progress) as (test,):
        rois = case_set_rois(test, weights, source.work / "regions-test", progress, backgrounds=1)
        facts = {"weights": weights.name, "data": test.name}
        if warning := trained_on_warning(load_segmenter(weights)[1], test):
            facts["warning"] = warning
        return segmenter_report(weights, rois, facts=facts).write(out, name="segmenter")


def case_set_rois(
    cases: CaseSet, weights: Path, folder: Path, progress: Progress, *, backgrounds: int = 0
) -> list[TrainingRoi]:
    """Cut the ROIs of a case set, in the size that these weights take; they are stored in a folder.

    Raises:
        InsufficientData: no cluster with a mask among them.
    """
    from mammo.segmenter.weights import load_segmenter
    from training.segmenter.rois import cut_rois

    config = load_segmenter(weights)[0].config
    rois = cut_rois(cases.cases, folder, config=config, backgrounds=backgrounds, progress=progress)
    if not any(roi.kind == "cluster" for roi in rois):
        raise InsufficientData(f"{cases.name}: no cluster with a mask, so nothing can be measured")
    return rois
