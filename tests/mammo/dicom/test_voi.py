from __future__ import annotations

import io
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset, FileDataset
from pydicom.pixels import apply_voi_lut
from pydicom.sequence import Sequence

from mammo.dicom import display_twin
from mammo.dicom.voi import percentile_window
from tests.mammo.dicom.files import edited, gradient, mammogram_file, with_elements


def by_pydicom(data: bytes) -> np.ndarray[Any, Any]:
    """What pydicom's own VOI gives, scaled to 8 bits."""
    dataset = pydicom.dcmread(io.BytesIO(data))
    grey = apply_voi_lut(dataset.pixel_array, dataset, prefer_lut=False).astype(np.float64)
    top = 2**dataset.BitsStored - 1
    if "VOILUTSequence" in dataset and "WindowCenter" not in dataset:
        top = 2 ** dataset.VOILUTSequence[0].LUTDescriptor[2] - 1
    grey = grey / top * 255
    return 255 - grey if dataset.PhotometricInterpretation == "MONOCHROME1" else grey


def with_lut(*, first: int, bits: int, length: int) -> bytes:
    item = Dataset()
    item.add_new("LUTDescriptor", "US", [length, first, bits])
    curve = np.sqrt(np.linspace(0, 1, length)) * (2**bits - 1)
    item.add_new("LUTData", "OW", curve.astype("<u2").tobytes())

    def edit(dataset: FileDataset) -> None:
        dataset.VOILUTSequence = Sequence([item])
        del dataset.WindowCenter, dataset.WindowWidth

    return edited(mammogram_file(), edit)


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize("function", ["LINEAR", "LINEAR_EXACT", "SIGMOID"])
@pytest.mark.parametrize("window", [(2048.0, 4096.0), (1500.0, 700.0), (3900.0, 50.0)])
def test_a_window_agrees_with_pydicom_within_one_grey_level(
    photometric: str, function: str, window: tuple[float, float]
) -> None:
    data = mammogram_file(gradient(width=512), photometric=photometric, voi_function=function, window=window)
    expected = by_pydicom(data)
    assert np.ptp(expected) > 100
    assert np.abs(display_twin(data) - expected).max() <= 1


@pytest.mark.parametrize(("first", "length"), [(0, 4096), (1000, 2000)])
def test_a_lookup_table_agrees_with_pydicom_within_one_grey_level(first: int, length: int) -> None:
    data = with_lut(first=first, bits=14, length=length)
    expected = by_pydicom(data)
    assert np.ptp(expected) > 100
    assert np.abs(display_twin(data) - expected).max() <= 1


def test_the_first_of_several_windows_counts() -> None:
    one = with_elements(WindowCenter=["1500"], WindowWidth=["700"])
    several = with_elements(WindowCenter=["1500", "3000"], WindowWidth=["700", "90"])
    np.testing.assert_array_equal(display_twin(one), display_twin(several))


@pytest.mark.parametrize(
    "broken",
    [
        {"WindowWidth": ["0"]},
        {"WindowWidth": ["-5"]},
        {"WindowWidth": None},
        {"WindowWidth": [], "WindowCenter": []},
    ],
)
def test_without_a_usable_window_most_of_the_range_is_shown(broken: dict[str, Any]) -> None:
    twin = display_twin(with_elements(**broken))
    assert twin.min() <= 5
    assert twin.max() == 255
    assert (np.diff(twin[0].astype(int)) >= 0).all()


def test_a_window_of_text_is_passed_over() -> None:
    data = mammogram_file(window=(1234, 5678))
    twin = display_twin(data.replace(b"5678", b"wide"))
    assert np.ptp(twin) > 200


def test_a_percentile_window_forgets_the_air_and_the_padding() -> None:
    levels = np.zeros((40, 40), np.uint16)
    levels[:, 20:30] = np.linspace(1000, 2000, 400).reshape(40, 10)
    levels[:, 30:] = 4095
    padding = levels == 4095
    window = percentile_window(levels, np.arange(4096.0), padding=padding)
    assert window.centre - window.width / 2 == pytest.approx(1000, abs=15)
    assert window.centre + window.width / 2 == pytest.approx(2000, abs=15)
