"""Whether browsers get the twins, and which setting of Label Studio is missing if not."""

from __future__ import annotations

from pathlib import Path

import cv2
import httpx
import numpy as np
import pytest

from mammo.errors import LabelStudioError, StorageUnavailable
from mammo.labelstudio.local_files import (
    PICTURE,
    TEST_IMAGE,
    add_storage,
    serving_problem,
    write_test_image,
)
from tests.fakes.label_studio import FakeLabelStudio

ROOT = Path("/srv/files")


def answering(status: int, content: bytes = b"") -> FakeLabelStudio:
    server = FakeLabelStudio()
    server.before = lambda request: httpx.Response(status, content=content)
    return server


def problem(server: FakeLabelStudio) -> str:
    with server.client() as client:
        return serving_problem(client, f"twins/{TEST_IMAGE}", content=PICTURE, root=ROOT)


def test_the_picture_that_is_fetched_is_an_image(tmp_path):
    write_test_image(tmp_path / "twins")
    pixels = cv2.imread(str(tmp_path / "twins" / TEST_IMAGE), cv2.IMREAD_UNCHANGED)
    assert pixels.shape == (1, 1)
    assert pixels.dtype == np.uint8


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(StorageUnavailable, match="YOLO_MLSAM_TWIN_ROOT"):
        write_test_image(tmp_path / "file" / "twins")


def test_a_served_picture_is_no_problem_and_is_asked_for_as_browsers_do():
    server = answering(200, PICTURE)
    assert problem(server) == ""
    assert str(server.log[-1].url.raw_path.decode()) == f"/data/local-files/?d=twins%2F{TEST_IMAGE}"


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (
            403,
            "serves no local files, so browsers show no image: start it with LABEL_STUDIO_LOCAL_FILES_SERVING_",
        ),
        (404, "run `yolo-mlsam project create` again"),
        (200, "serves another twins/served.png"),
    ],
)
def test_what_is_missing_is_named_with_the_variable_and_its_value(status, said):
    found = problem(answering(status, b"something else"))
    assert said in found
    assert f"LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT={ROOT}" in found


@pytest.mark.parametrize(
    ("refusal", "said"),
    [
        ("so LOCAL_FILES_SERVING_ENABLED is disabled by default.", "serves no local files"),
        ('"/x" must be a subdirectory of LOCAL_FILES_DOCUMENT_ROOT="/y" by', f"another folder than {ROOT}"),
        ('Absolute local path "/srv/files/twins" does not exist', f"another folder than {ROOT}"),
    ],
)
def test_a_refused_storage_names_what_is_missing(refusal, said):
    server = FakeLabelStudio()

    def refuse(request: httpx.Request) -> httpx.Response | None:
        body = {"validation_errors": {"non_field_errors": [refusal]}}
        return httpx.Response(400, json=body) if request.method == "POST" else None

    server.before = refuse
    with server.client() as client, pytest.raises(LabelStudioError, match=said) as failure:
        add_storage(client, 7, ROOT / "twins", root=ROOT)
    assert failure.value.code == "local_files"


def test_another_refusal_is_left_as_it_is():
    server = answering(500)
    with server.client() as client, pytest.raises(LabelStudioError) as failure:
        add_storage(client, 7, ROOT / "twins", root=ROOT)
    assert failure.value.code == "label_studio_500"
