"""What is measured. Pure functions of predictions and truth, checked against COCO's own tools and worked examples.

froc.py                sensitivity against false positives per image; which detection hits which lesion
average_precision.py   AP50 and AP50-95 by COCO's rules
threshold.py           precision, TPR, F1 by box; FPR and accuracy by image
dice.py                overlap of masks and of boxes
bootstrap.py           confidence intervals: patients are drawn, with all their views
"""

from training.metrics.average_precision import AveragePrecision, average_precision
from training.metrics.bootstrap import Interval, interval
from training.metrics.dice import box_dice, lesion_dice
from training.metrics.froc import (
    RATES,
    Froc,
    Hits,
    Pooled,
    Rule,
    centre_rule,
    froc,
    iou_rule,
    is_judged,
    judged,
    match,
    sensitivity_at,
)
from training.metrics.threshold import AtThreshold, Counts

__all__ = [
    "RATES",
    "AtThreshold",
    "AveragePrecision",
    "Counts",
    "Froc",
    "Hits",
    "Interval",
    "Pooled",
    "Rule",
    "average_precision",
    "box_dice",
    "centre_rule",
    "froc",
    "interval",
    "iou_rule",
    "is_judged",
    "judged",
    "lesion_dice",
    "match",
    "sensitivity_at",
]
