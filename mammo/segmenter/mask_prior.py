"""MaskPrior: an outline that a person or an earlier model drew, as the logits that the next prompt refines."""

from __future__ import annotations

import cv2
import numpy as np

from mammo.masks import Mask
from mammo.segmenter.roi import LOGIT_STRIDE, Roi
from mammo.segmenter.segmentation import Segmentation

STRENGTH = 8.0
"""Logit of a pixel well inside the mask, negated outside."""


def segmentation_of(mask: Mask, roi: Roi) -> Segmentation:
    """Return a mask as a segmentation of a region, for `Segmenter.segment(..., previous=...)`.

    A logit is `STRENGTH` times the share of its pixels that are set, scaled from [0, 1] to [-1, 1].
    """
    covered = np.zeros((roi.side, roi.side), np.float32)
    Mask(mask.bitmap, mask.x0 - roi.crop.x0, mask.y0 - roi.crop.y0).paste(covered)
    side = roi.input_size // LOGIT_STRIDE
    shares = cv2.resize(covered, (side, side), interpolation=cv2.INTER_AREA)
    return Segmentation(
        mask=mask,
        presence=None,
        logits=((2 * shares - 1) * STRENGTH).astype(np.float32),
        roi=roi,
        pixels_per_logit=roi.pixels_per_logit,
        spacing=roi.spacing,
    )
