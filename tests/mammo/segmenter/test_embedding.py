from dataclasses import replace

import numpy as np
import pytest

from mammo.geometry import Box, Size, Spacing
from mammo.segmenter.embedding import code_hash, embedding_key
from mammo.segmenter.roi import roi_around
from tests.mammo.segmenter.networks import SMALL

PIXELS = np.random.default_rng(0).uniform(0, 1, (200, 240)).astype(np.float32)
MM = Spacing(0.07, 0.07, "imager")
ROI = roi_around(Box(100, 60, 130, 100), Size(240, 200), config=SMALL, spacing=MM)


def key(pixels=PIXELS, roi=ROI, *, config=SMALL, weights="w", precision="torch") -> str:
    return embedding_key(pixels, roi, config=config, weights=weights, precision=precision)


def test_a_key_is_a_hash_and_the_same_for_the_same_region():
    assert len(key()) == 64
    assert set(key()) <= set("0123456789abcdef")
    assert key(PIXELS.copy()) == key()


def test_pixels_outside_the_region_do_not_matter():
    other = PIXELS.copy()
    other[0, 0] += 0.5
    assert key(other) == key()


@pytest.mark.parametrize(
    "change",
    [
        {"roi": replace(ROI, crop=ROI.crop.shifted(1, 0))},
        {"roi": replace(ROI, side=ROI.side + 1)},
        {"roi": replace(ROI, spacing=None)},
        {"roi": replace(ROI, spacing=Spacing(0.1, 0.1, "imager"))},
        {"config": replace(SMALL, channels="contrast")},
        {"config": replace(SMALL, input_size=128)},
        {"config": replace(SMALL, middle=False)},
        {"weights": "another file"},
        {"precision": "openvino bf16"},
    ],
    ids=lambda change: ",".join(change),
)
def test_whatever_decides_the_features_changes_the_key(change):
    assert key(**change) != key()


def test_one_pixel_of_the_region_changes_the_key():
    other = PIXELS.copy()
    other[ROI.crop.y0, ROI.crop.x0] = np.nextafter(other[ROI.crop.y0, ROI.crop.x0], np.float32(2))
    assert key(other) != key()


def test_the_code_is_part_of_the_key(monkeypatch):
    before = key()
    monkeypatch.setattr("mammo.segmenter.embedding.code_hash", lambda: "changed")
    assert key() != before
    assert len(code_hash()) == 64
