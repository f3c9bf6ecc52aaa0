"""Average precision by COCO's rules, counted by faster-coco-eval (the same figures as pycocotools, much sooner)."""

from __future__ import annotations

import contextlib
import io
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mammo.geometry import Box

if TYPE_CHECKING:
    from mammo.detector import Detection

CATEGORY = 1


@dataclass(frozen=True)
class AveragePrecision:
    """Over one class; NaN without any lesion."""

    ap50: float
    """At IoU 0.5, in [0, 1]."""

    ap50_95: float
    """Mean over IoU 0.5, 0.55 ... 0.95, in [0, 1]."""


def average_precision(images: Sequence[tuple[Sequence[Detection], Sequence[Box]]]) -> AveragePrecision:
    """AP over images.

    Args:
        images: detections, at every score the detector gives, and true boxes of each; at most 100 detections count.
    """
    if not any(truth for _, truth in images):
        return AveragePrecision(math.nan, math.nan)
    from faster_coco_eval import COCO, COCOeval_faster

    truth, found = as_coco(images)
    if not found:
        return AveragePrecision(0.0, 0.0)
    with contextlib.redirect_stdout(io.StringIO()):  # both speak while they work
        known = COCO(truth)
        evaluation = COCOeval_faster(known, known.loadRes(found), iouType="bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return AveragePrecision(float(evaluation.stats[1]), float(evaluation.stats[0]))


def as_coco(
    images: Iterable[tuple[Sequence[Detection], Sequence[Box]]],
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Truth and detections as COCO's JSON: boxes as x, y, width, height."""
    truth: dict[str, Any] = {
        "info": {},
        "images": [],
        "annotations": [],
        "categories": [{"id": CATEGORY, "name": "Cluster"}],
    }
    found = []
    for number, (detections, boxes) in enumerate(images, start=1):
        truth["images"].append({"id": number, "width": 1, "height": 1})
        for box in boxes:
            annotation = {"id": len(truth["annotations"]) + 1, "image_id": number, "category_id": CATEGORY}
            truth["annotations"].append({**annotation, **_placed(box), "iscrowd": 0})
        found += [
            {"image_id": number, "category_id": CATEGORY, "score": each.score, **_placed(each.box)}
            for each in detections
        ]
    return truth, found


def _placed(box: Box) -> dict[str, Any]:
    return {"bbox": [box.x0, box.y0, box.width, box.height], "area": box.area}
