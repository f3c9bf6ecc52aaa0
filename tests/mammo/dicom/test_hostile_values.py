"""Values that no scanner writes: some files are read without the value, some are refused; none does harm."""

from __future__ import annotations

import struct
import subprocess
import sys
from collections.abc import Callable

import numpy as np
import pytest
from pydicom import uid

from mammo.dicom import display_twin, read_mammogram
from mammo.dicom.dataset import MAX_READS
from mammo.errors import UnreadableImage
from tests.mammo.dicom.bombs import BOMBS
from tests.mammo.dicom.encoders import encoded
from tests.mammo.dicom.files import PATIENT, gradient, mammogram_file, with_elements, with_raw
from tests.mammo.dicom.test_bad_inputs import UNREADABLE, UNSUPPORTED

WILD = {
    "NaN": b"NaN ",
    "infinity": b"inf ",
    "minus infinity": b"-Infinity ",
    "1e308": b"1e308 ",
    "minus 1e308": b"-1e308",
    "least denormal": b"5e-324",
    "overflow": b"1E999999999 ",
    "400 digits": b"9" * 400,
    "5000 digits": b"9" * 5000,
    "a million digits": b"1" * 10**6,
    "a million values": b"1\\" * 10**6,
    "words": b"; DROP TABLE ",
    "null bytes": b"\0\0\0\0",
    "full-width digits": "\uff11\uff12".encode(),
    "hexadecimal": b"0x10",
    "underscores": b"1_0 ",
}
NUMERIC = (
    "WindowCenter", "WindowWidth", "RescaleSlope", "RescaleIntercept", "ImagerPixelSpacing",
    "EstimatedRadiographicMagnificationFactor", "InstanceNumber",
)  # fmt: skip


MEASURES = ("ImagerPixelSpacing", "EstimatedRadiographicMagnificationFactor")
WORDS = ("words", "hexadecimal")
PASSED_OVER = [(k, v) for k in NUMERIC for v in WILD if not (k in MEASURES and v in WORDS)]


@pytest.mark.parametrize(("keyword", "value"), PASSED_OVER)
@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_a_wild_number_is_passed_over_and_the_pixels_are_what_they_were(keyword: str, value: str) -> None:
    data = with_raw(
        **{keyword: ("DS", WILD[value][:65534]) if len(WILD[value]) < 65535 else ("UT", WILD[value])}
    )
    mammogram = read_mammogram(data)
    levels = mammogram.pixels if mammogram.pixels[0, 0] < 0.5 else 1 - mammogram.pixels
    np.testing.assert_allclose(levels, read_mammogram(mammogram_file()).pixels, atol=1e-6)
    assert mammogram.spacing is None or 0.01 <= mammogram.spacing.mean_mm <= 1
    assert np.ptp(display_twin(data)) > 100


@pytest.mark.parametrize("keyword", MEASURES)
@pytest.mark.parametrize("value", WORDS)
def test_a_measure_that_is_no_number_refuses_the_file(keyword: str, value: str) -> None:
    with pytest.raises(UnreadableImage) as caught:
        read_mammogram(with_raw(**{keyword: ("DS", WILD[value])}))
    assert caught.value.code == "not_a_number"


@pytest.mark.parametrize(("keyword", "vr"), [("Rows", "IS"), ("Columns", "DS"), ("BitsAllocated", "IS")])
@pytest.mark.parametrize("value", WILD)
def test_a_wild_number_about_the_pixels_refuses_the_file(keyword: str, vr: str, value: str) -> None:
    raw = WILD[value]
    with pytest.raises(UnreadableImage) as caught:
        read_mammogram(with_raw(**{keyword: (vr if len(raw) < 65535 else "UT", raw)}))
    assert caught.value.code in ("missing_attribute", "bad_geometry", "too_large")
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("keyword", ["NumberOfFrames", "SamplesPerPixel"])
@pytest.mark.parametrize("value", WILD)
def test_a_wild_number_of_frames_or_samples_is_one_or_a_refusal(keyword: str, value: str) -> None:
    raw = WILD[value]
    try:
        read = read_mammogram(with_raw(**{keyword: ("IS" if len(raw) < 65535 else "UT", raw)}))
        assert read.pixels.shape == (48, 32)
    except UnreadableImage as error:
        refused = error
        assert refused.code in ("multi_frame", "not_grayscale")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e308, -1e308, 5e-324, 0.0, -1.0])
@pytest.mark.parametrize("function", ["LINEAR", "LINEAR_EXACT", "SIGMOID"])
@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_no_window_breaks_the_picture(value: float, function: str) -> None:
    packed = struct.pack("<d", value)
    for keyword in ("WindowCenter", "WindowWidth"):
        data = with_raw(with_elements(VOILUTFunction=function), **{keyword: ("FD", packed)})
        assert display_twin(data).dtype == np.uint8


ODD_TEXT = {
    "path": "../../../../etc/passwd",
    "script": "<script>alert(1)</script>",
    "spreadsheet": "=cmd|' /C calc'!A0",
    "escape sequence": "\x1b]0;gone\x07",
    "null": "a\0b",
    "long": "A" * 60_000,
}


@pytest.mark.parametrize("value", ODD_TEXT)
@pytest.mark.parametrize(
    "keyword",
    ["PatientName", "PatientID", "SOPInstanceUID", "StudyInstanceUID", "ImageLaterality", "ViewPosition",
     "Modality", "PresentationIntentType", "SpecificCharacterSet", "PatientOrientation", "VOILUTFunction"],
)  # fmt: skip
@pytest.mark.filterwarnings("ignore")  # pydicom's remarks about character sets
def test_odd_text_neither_harms_nor_comes_back(keyword: str, value: str) -> None:
    if keyword == "SpecificCharacterSet":  # the writer would believe it
        data = mammogram_file().replace(b"ISO_IR 192", ODD_TEXT[value].encode()[:10].ljust(10))
    else:
        data = with_raw(**{keyword: ("LT", ODD_TEXT[value].encode())})
    refused = {("SpecificCharacterSet", "null"): "parse"}
    # A text that is too long counts as missing.
    refused |= {("Modality", name): "wrong_modality" for name in ODD_TEXT if name != "long"}
    if (keyword, value) in refused:
        with pytest.raises(UnreadableImage) as caught:
            read_mammogram(data)
        assert caught.value.code == refused[keyword, value]
        assert ODD_TEXT[value][:20] not in str(caught.value)
        return
    mammogram = read_mammogram(data, patient_secret=b"key")
    assert ODD_TEXT[value][:8] not in repr(mammogram)
    assert mammogram.laterality in ("L", None)
    assert mammogram.patient is None or len(mammogram.patient) == 16


def test_a_uid_that_is_a_path_is_no_class_that_is_read() -> None:
    for path in ("../../etc/passwd", "/etc/passwd", "1.2.840.10008.5.1.4.1.1.1.2/../x"):
        with pytest.raises(UnreadableImage) as caught:
            read_mammogram(with_elements(SOPClassUID=path))
        assert caught.value.code == "wrong_sop_class"
        assert "etc" not in str(caught.value)


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_or_a_lying_codestream_is_refused_with_its_code(name: str) -> None:
    make, codes = BOMBS[name]
    with pytest.raises(UnreadableImage) as caught:
        read_mammogram(make())
    assert caught.value.code in codes
    assert PATIENT not in str(caught.value)


def test_all_bombs_together_take_less_than_a_gigabyte() -> None:
    """In a process of its own, because the peak of a process never falls again."""
    program = (
        "import resource\n"
        "from mammo.dicom import read_mammogram\n"
        "from mammo.errors import UnreadableImage\n"
        "from tests.mammo.dicom.bombs import BOMBS\n"
        "num_refused = 0\n"
        "for make, _ in BOMBS.values():\n"
        "    try: read_mammogram(make())\n"
        "    except UnreadableImage: num_refused += 1\n"
        "from mammo.dicom.decoding_pool import _pools\n"
        "[pool] = _pools.values()\n"
        "pool.close()\n"
        "status = open('/proc/self/status').read()\n"  # getrusage would count what the tests' process had before exec
        "own = status.split('VmHWM:')[1].split()[0]\n"
        "print(num_refused, own, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    num_refused, own, largest_child = map(int, done.stdout.split())
    assert num_refused == len(BOMBS)
    assert largest_child > 20_000, "the decoders were measured"
    assert own + largest_child < 1_000_000, "kilobytes"


def test_there_are_at_least_sixty_bad_files() -> None:
    assert len(UNREADABLE) + len(UNSUPPORTED) + len(BOMBS) >= 60


def test_a_file_with_many_but_not_absurdly_many_elements_is_read() -> None:
    private = b"".join(struct.pack("<HH2sH", 0x7777, 0x1000 + i, b"LO", 0) for i in range(5000))
    data = mammogram_file()
    at = data.rindex(b"\xe0\x7f\x10\x00OW")
    assert MAX_READS > 10_000
    assert read_mammogram(data[:at] + private + data[at:]).depth == 12


LIES: dict[str, Callable[[], bytes]] = {
    "a JPEG-LS of fewer bits than stored": lambda: with_elements(
        encoded(gradient(), uid.JPEGLSLossless), BitsStored=16, HighBit=15
    ),
    "a JPEG 2000 that calls itself signed": lambda: with_elements(
        encoded(gradient(), uid.JPEG2000Lossless), PixelRepresentation=1
    ),
    "JPEG 2000 labelled lossy": lambda: encoded(gradient(), uid.JPEG2000Lossless).replace(
        uid.JPEG2000Lossless.encode() , uid.JPEG2000.encode()
    ),
    "an unknown character set": lambda: with_elements(SpecificCharacterSet="ISO_IR 999"),
    "some bytes after the pixels": lambda: with_elements(PixelData=gradient().astype("<u2").tobytes() + bytes(62)),
    "two photometric interpretations of colour": lambda: with_elements(PlanarConfiguration=1),
}  # fmt: skip


@pytest.mark.parametrize("name", LIES)
@pytest.mark.filterwarnings("ignore")  # pydicom's remarks
def test_a_harmless_lie_is_lived_with(name: str) -> None:
    assert read_mammogram(LIES[name]()).pixels.shape == (48, 32)
