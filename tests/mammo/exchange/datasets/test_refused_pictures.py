"""Pictures of a data set that are no examples: turned ones (which way up do their findings lie?), and lost ones."""

from __future__ import annotations

import io
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from cli.__main__ import app
from tests.mammo.dicom.exif import FILES, STORED

IMPORT = ["import-dataset", "folder", "--patient-pattern", "^([^_/]+)_"]


def tiff(orientation: int) -> bytes:
    out = io.BytesIO()
    Image.fromarray(STORED).save(out, "TIFF", tiffinfo={274: orientation})
    return out.getvalue()


@pytest.mark.parametrize(
    ("name", "content", "code"),
    [
        ("p1_a.jpg", FILES["JPEG 3"], 2), ("p1_a.jpg", FILES["JPEG 4"], 2), ("p1_a.png", FILES["PNG 2"], 2),
        ("p1_a.tif", tiff(3), 2), ("p1_a.jpg", FILES["JPEG 1"], 0), ("p1_a.tif", tiff(1), 0),
    ],
)  # fmt: skip
def test_a_picture_that_programs_turn_is_no_example(
    tmp_path: Path, name: str, content: bytes, code: int
) -> None:
    mask = np.zeros(STORED.shape, np.uint8)
    mask[4:12, 4:12] = 255
    files = {name: content, "p2_b.png": cv2.imencode(".png", STORED)[1].tobytes()}
    for file, picture in files.items():
        for folder, held in (("images", picture), ("masks", cv2.imencode(".png", mask)[1].tobytes())):
            path = tmp_path / folder / file
            path.parent.mkdir(exist_ok=True)
            (path if folder == "images" else path.with_suffix(".png")).write_bytes(held)
    result = CliRunner().invoke(app, [*IMPORT, str(tmp_path), "--dry-run"])
    assert result.exit_code == code
    assert ("its file states an orientation" in result.output) == (code == 2)
    assert f"{2 if code == 0 else 1} images of" in result.output


def test_a_link_to_itself_among_the_images_costs_itself_only(tmp_path: Path) -> None:
    mask = np.zeros(STORED.shape, np.uint8)
    mask[4:12, 4:12] = 255
    for folder in ("images", "masks"):
        (tmp_path / folder).mkdir()
    for name, picture in (("p1_a.png", STORED), ("p2_b.png", 255 - STORED)):
        (tmp_path / "images" / name).write_bytes(cv2.imencode(".png", picture)[1].tobytes())
        (tmp_path / "masks" / name).write_bytes(cv2.imencode(".png", mask)[1].tobytes())
    (tmp_path / "images" / "p3_c.png").symlink_to("p3_c.png")
    result = CliRunner().invoke(app, [*IMPORT, str(tmp_path), "--dry-run"])
    assert result.exit_code == 2
    assert "p3_c.png: its path cannot be resolved" in result.output
    assert "2 images of 2 patients" in result.output
