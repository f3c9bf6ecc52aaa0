"""Metrics: pure functions of predictions and truth, tested against COCO's tools and worked examples.

froc.py                sensitivity against false positives per image; matching of detections and lesions
average_precision.py   AP50 and AP50-95 by COCO's rules
threshold.py           precision, TPR and F1 by box; FPR and accuracy by image
dice.py                Dice of masks and of boxes
masks.py               boundary IoU, and rates per pixel and per image
bootstrap.py           confidence intervals over patients
"""

from training.metrics.average_precision import AveragePrecision, average_precision
from training.metrics.bootstrap import Interval, interval, patient_draws
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
    pair,
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
    "pair",
    "patient_draws",
    "sensitivity_at",
]
