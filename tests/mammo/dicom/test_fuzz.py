"""Random damage to a small committed corpus: pixels or a deliberate error, never anything else.

The seeds are phantoms of a few kilobytes in every transfer syntax and plain format. `python -m
tests.mammo.dicom.test_fuzz` writes them anew.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mammo.dicom import display_twin, read_mammogram
from mammo.errors import MammoError

CORPUS = Path(__file__).with_name("corpus")
SEEDS = {path.name: path.read_bytes() for path in sorted(CORPUS.glob("*.*"))}
INTERESTING = [
    b"\0",
    b"\xff",
    b"\0\0\0\0",
    b"\xff\xff\xff\xff",
    b"\x7f\xff\xff\xff",
    b"\xfe\xff\x00\xe0",
    b"SQ",
    b"\\",
]

mutations = st.lists(
    st.tuples(
        st.sampled_from(["flip", "overwrite", "insert", "delete", "repeat", "cut"]),
        st.floats(0, 1, exclude_max=True),
        st.integers(1, 64),
        st.one_of(st.sampled_from(INTERESTING), st.binary(min_size=1, max_size=8)),
    ),
    min_size=1,
    max_size=5,
)


def mutated(data: bytes, changes: list[tuple[str, float, int, bytes]]) -> bytes:
    for kind, where, length, value in changes:
        at = int(where * len(data))
        match kind:
            case "flip":
                data = data[:at] + bytes([data[at] ^ (1 << length % 8)]) + data[at + 1 :] if data else data
            case "overwrite":
                data = data[:at] + value + data[at + len(value) :]
            case "insert":
                data = data[:at] + value + data[at:]
            case "delete":
                data = data[:at] + data[at + length :]
            case "repeat":
                data = data[: at + length] + data[at:]
            case "cut" if length > 48:
                data = data[: max(at, 200)]
    return data


def outcome(data: bytes) -> str:
    try:
        mammogram = read_mammogram(data, patient_secret=b"key", convert_for_processing=True)
        twin = display_twin(data, convert_for_processing=True)
    except MammoError:
        return "refused"
    assert twin.shape == mammogram.pixels.shape
    assert np.isfinite(mammogram.pixels).all()
    assert 0 <= mammogram.pixels.min() <= mammogram.pixels.max() <= 1
    return "read"


def test_the_corpus_is_complete_small_and_sound() -> None:
    assert len(SEEDS) >= 15
    assert max(map(len, SEEDS.values())) < 8_000
    assert {name for name, data in SEEDS.items() if outcome(data) != "read"} == set()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # pydicom's remarks about what it reads
@settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.sampled_from(sorted(SEEDS)), mutations)
def test_a_damaged_file_gives_pixels_or_a_deliberate_error(
    name: str, changes: list[tuple[str, float, int, bytes]]
) -> None:
    outcome(mutated(SEEDS[name], changes))


def write_corpus() -> None:
    from tests.mammo.dicom.encoders import ENCODERS, encoded
    from tests.mammo.dicom.files import mammogram_file, with_elements

    rng = np.random.default_rng(0)
    y, x = np.mgrid[:40, :32]
    stored = np.clip(
        3000 * np.exp(-((x / 20) ** 2) - ((y - 20) / 15) ** 2) + rng.normal(0, 30, x.shape), 0, 4095
    )
    stored = stored.astype(np.uint16)
    CORPUS.mkdir(exist_ok=True)
    for syntax in ENCODERS:
        (CORPUS / f"{syntax}.dcm").write_bytes(encoded(stored, syntax))
    raw = with_elements(mammogram_file(4095 - stored), PresentationIntentType="FOR PROCESSING")
    (CORPUS / "for-processing.dcm").write_bytes(raw)
    padded = with_elements(mammogram_file(stored), PixelPaddingValue=0, WindowCenter=None, WindowWidth=None)
    (CORPUS / "padding-without-window.dcm").write_bytes(padded)
    for kind in ("png", "tiff", "pgm", "jpg"):
        grey = stored if kind != "jpg" else (stored / 16).astype(np.uint8)
        (CORPUS / f"plain.{kind}").write_bytes(cv2.imencode(f".{kind}", grey)[1].tobytes())


if __name__ == "__main__":
    write_corpus()
