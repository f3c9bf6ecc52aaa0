"""Average precision by COCO's rules (Lin et al. 2014), computed by faster-coco-eval: pycocotools' figures, faster."""

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
"""The only COCO category: a cluster."""


@dataclass(frozen=True)
class AveragePrecision:
    """Average precision of one class; NaN without any lesion."""

    ap50: float
    """At IoU 0.5, in [0, 1]   (eq. 19)."""

    ap50_95: float
    """Mean over IoU 0.5, 0.55 ... 0.95, in [0, 1]   (eq. 20)."""


def average_precision(images: Sequence[tuple[Sequence[Detection], Sequence[Box]]]) -> AveragePrecision:
    """Compute AP over images.

    Args:
        images: detections of every score, and true boxes, of each image. The best 100 detections of an image count.
    """
    if not any(truth for _, truth in images):
        return AveragePrecision(math.nan, math.nan)
    from faster_coco_eval import COCO, COCOeval_faster

    truth, results = as_coco(images)
    if not results:
        return AveragePrecision(0.0, 0.0)
    with contextlib.redirect_stdout(io.StringIO()):  # both print their progress
        dataset = COCO(truth)
        evaluation = COCOeval_faster(dataset, dataset.loadRes(results), iouType="bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return AveragePrecision(float(evaluation.stats[1]), float(evaluation.stats[0]))


def as_coco(
    images: Iterable[tuple[Sequence[Detection], Sequence[Box]]],
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Truth and detections as COCO JSON, with boxes as x, y, width, height."""
    truth: dict[str, Any] = {
        "info": {},
        "images": [],
        "annotations": [],
        "categories": [{"id": CATEGORY, "name": "Cluster"}],
    }
    results = []
    for number, (detections, boxes) in enumerate(images, start=1):
        truth["images"].append({"id": number, "width": 1, "height": 1})
        for box in boxes:
            annotation = {"id": len(truth["annotations"]) + 1, "image_id": number, "category_id": CATEGORY}
            truth["annotations"].append({**annotation, **_coco_box(box), "iscrowd": 0})
        results += [
            {"image_id": number, "category_id": CATEGORY, "score": each.score, **_coco_box(each.box)}
            for each in detections
        ]
    return truth, results


def _coco_box(box: Box) -> dict[str, Any]:
    return {"bbox": [box.x0, box.y0, box.width, box.height], "area": box.area}
