"""Small labelled images for the tests of this folder."""

from __future__ import annotations

from typing import Any

import numpy as np

from mammo.dicom.results import Origin
from mammo.exchange.export.labelled_image import LabelledImage
from mammo.findings import CLUSTER, Finding
from mammo.geometry import Box, Size
from mammo.masks import Mask

SIZE = Size(32, 48)
"""Of `tests.mammo.dicom.files.mammogram_file`."""


def ring(x: int, y: int) -> Finding:
    """A cluster of 5 x 5 pixels with a hole in its middle and a corner missing."""
    bitmap = np.ones((5, 5), np.bool_)
    bitmap[2, 2] = bitmap[0, 0] = False
    mask = Mask(bitmap, x, y)
    return Finding(label=CLUSTER, score=0.75, box=mask.frame, mask=mask, id=f"ring-{x}")


BOX_ONLY = Finding(label=CLUSTER, score=0.5, box=Box(1, 2, 9, 8))

POINT_ONLY = Finding(label=CLUSTER, score=1.0, box=Box(3, 4, 4, 5), is_point=True)


def labelled(name: str = "a", *findings: Finding, **options: Any) -> LabelledImage:
    settings: dict[str, Any] = {
        "file_name": f"{name}.dcm",
        "size": SIZE,
        "origin": Origin(made_by="automatic", version="m0001"),
    }
    return LabelledImage(name=name, findings=findings, **(settings | options))
