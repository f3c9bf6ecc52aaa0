from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mammo.backgrounds import Background
from mammo.errors import InvalidBackgrounds
from mammo.geometry import Spacing
from tests.mammo.backgrounds.images import dicom, png
from tests.mammo.dicom.pictures import breast_picture


def stored(path: Path, content: bytes) -> Background:
    path.write_bytes(content)
    digest = hashlib.sha256(content).hexdigest()
    return Background(path=path, spacing=Spacing(0.1, 0.1, "given"), patient="p-1", sha256=digest)


def test_an_image_is_read_with_the_spacing_and_the_patient_of_its_set(tmp_path: Path) -> None:
    plain = stored(tmp_path / "a.png", png()).read()
    assert (plain.spacing, plain.patient, plain.depth) == (Spacing(0.1, 0.1, "given"), "p-1", 8)
    assert plain.pixels.dtype == np.float32
    np.testing.assert_array_equal(np.rint(plain.pixels * 255), breast_picture() // 16)
    corrected = stored(tmp_path / "b.dcm", dicom()).read()  # its file states 0.07 mm and another patient
    assert (corrected.spacing, corrected.patient, corrected.depth) == (
        Spacing(0.1, 0.1, "given"),
        "p-1",
        12,
    )


def test_an_image_that_has_changed_or_gone_is_named_and_not_read(tmp_path: Path) -> None:
    background = stored(tmp_path / "a.png", png())
    with pytest.raises(InvalidBackgrounds, match=r"a\.png of the background set .* is damaged") as damaged:
        replace(background, sha256="0" * 64).read()
    assert damaged.value.code == "damaged_background"
    background.path.unlink()
    with pytest.raises(InvalidBackgrounds, match="is missing; run `yolo-mlsam backgrounds add`") as missing:
        background.read()
    assert missing.value.code == "missing_background"
