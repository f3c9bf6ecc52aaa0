from __future__ import annotations

import cv2
import numpy as np

from mammo.dicom import display_twin, encode_png, read_mammogram
from tests.mammo.dicom.files import gradient, mammogram_file, with_elements


def test_a_twin_has_the_geometry_of_its_mammogram() -> None:
    data = mammogram_file(gradient(height=61, width=37))
    twin = display_twin(data)
    assert twin.dtype == np.uint8
    assert twin.shape == read_mammogram(data).pixels.shape


def test_dense_tissue_is_bright_in_both_photometric_interpretations() -> None:
    stored = gradient()
    plain = display_twin(mammogram_file(stored, window=(2047.5, 4095), voi_function="LINEAR_EXACT"))
    inverted = display_twin(
        mammogram_file(
            4095 - stored, photometric="MONOCHROME1", window=(2047.5, 4095), voi_function="LINEAR_EXACT"
        )
    )
    np.testing.assert_array_equal(plain, inverted)
    assert plain[0, 0] == 0
    assert plain[0, -1] == 255


def test_padding_is_black() -> None:
    stored = gradient()
    stored[:5] = 4095
    stored[5:] //= 2
    twin = display_twin(with_elements(mammogram_file(stored), PixelPaddingValue=4095))
    assert (twin[:5] == 0).all()
    assert twin[5:].max() > 0


def test_a_png_gives_the_twin_back() -> None:
    twin = display_twin(mammogram_file())
    decoded = cv2.imdecode(np.frombuffer(encode_png(twin), np.uint8), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(decoded, twin)
