"""Small mammograms with a cluster of bright specks at a known place."""

from __future__ import annotations

import numpy as np

from mammo.dicom import Mammogram
from mammo.findings import CLUSTER, Finding
from mammo.geometry import Box
from training.cases import Case

HEIGHT, WIDTH = 420, 320
BREAST = 240
"""First column of air."""


def mammogram(seed: int, box: Box | None) -> Mammogram:
    rng = np.random.default_rng(seed)
    pixels = rng.uniform(0.37, 0.43, (HEIGHT, WIDTH)).astype(np.float32)
    if box is not None:
        for _ in range(10):
            x, y = int(rng.integers(box.x0, box.x1 - 3)), int(rng.integers(box.y0, box.y1 - 3))
            pixels[y : y + 3, x : x + 3] = 0.9
    pixels[:, BREAST:] = 0
    return Mammogram(
        pixels=pixels,
        spacing=None,
        laterality=None,
        view=None,
        patient=None,
        sha256=f"{seed:064x}",
        depth=12,
    )


def case(seed: int, box: Box | None = None) -> Case:
    """A case, with a cluster in the box if one is given."""
    truth = () if box is None else (Finding(label=CLUSTER, score=1.0, box=box),)
    return Case(
        image=f"{seed:064x}", patient=f"patient-{seed}", read=lambda: mammogram(seed, box), truth=truth
    )
