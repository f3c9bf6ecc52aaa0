import errno
import hashlib
import io
import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from mammo.errors import ImageNotFound, InvalidTaskData, UnreadableImage
from mammo.images.image_downloads import ImageDownloads
from mammo.images.task_images import TASK_KEY, TaskImages, of_task
from mammo.labelstudio.labeling_config import ControlTags


class FakeDownloads:
    """Serves one image under one address, as Label Studio would."""

    def __init__(self, url: str, content: bytes) -> None:
        self.url, self.content = url, content

    def fetch(self, reference: str, *, max_bytes: int, task: int | None = None, **_: object) -> io.BytesIO:
        assert reference == self.url
        self.task = task
        return io.BytesIO(self.content[:max_bytes])


def png(value: int = 200) -> bytes:
    picture = np.zeros((40, 30), np.uint8)
    picture[10:20, 5:15] = value
    return cv2.imencode(".png", picture)[1].tobytes()


def test_the_named_file_is_read_and_not_the_twin(tmp_path: Path):
    (tmp_path / "a.png").write_bytes(png())
    images = TaskImages(root=tmp_path, downloads=None)
    mammogram = images.open({"mammogram": "a.png", "image": "/data/local-files/?d=twin.png"})
    assert (mammogram.size.width, mammogram.size.height) == (30, 40)


@pytest.mark.parametrize(
    "reference", ["../secret.png", "/etc/passwd", "a/../../secret.png", "", "a\0b", 7, ["a"]]
)
def test_a_task_cannot_leave_the_mammogram_folder(tmp_path: Path, reference):
    (tmp_path / "secret.png").write_bytes(png())
    root = tmp_path / "root"
    root.mkdir()
    with pytest.raises(ImageNotFound):
        TaskImages(root=root, downloads=None).open({"mammogram": reference})


@pytest.mark.parametrize(
    "reference",
    [
        "x" * 300,
        "a/" * 3000,
        "loop.png",
        "loop.png/x",
        "a.png/x",
        "folder",
        ".",
        "\udcfc.png",
        chr(0xD800) + ".png",
        "a\nb",
    ],
)
def test_a_malformed_path_is_this_tasks_fault(tmp_path: Path, reference: str):
    (tmp_path / "a.png").write_bytes(png())
    (tmp_path / "folder").mkdir()
    (tmp_path / "loop.png").symlink_to("loop.png")
    images = TaskImages(root=tmp_path, downloads=None)
    for asked in (images.open, images.path, images.fingerprint):
        with pytest.raises(ImageNotFound) as failure:
            asked({"mammogram": reference})
        assert failure.value.code in ("image_not_found", "unreadable_file")


@pytest.mark.parametrize("number", [errno.EACCES, errno.ESTALE, errno.EIO, errno.ENAMETOOLONG])
@pytest.mark.parametrize("function", ["pathlib.Path.stat", "os.open"])
def test_a_file_that_its_system_does_not_hand_over_is_this_tasks_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, function: str
):
    (tmp_path / "a.png").write_bytes(png())
    images = TaskImages(root=tmp_path, downloads=None)

    def refuse(*_, **__):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(function, refuse)
    with pytest.raises((ImageNotFound, UnreadableImage)) as failure:
        images.open({"mammogram": "a.png"})
    assert failure.value.code == "unreadable_file"


@pytest.mark.parametrize(
    "address",
    [
        "s3://bucket/\udcfc.png",
        "http://xn--/a.png",
        "http://[::1",
        "/\udcfc.png",
        "/a\nb.png",
        "/" + "x" * 70_000,
    ],
)
def test_a_malformed_address_is_this_tasks_fault(address: str):
    images = TaskImages(root=None, downloads=ImageDownloads(None))
    with pytest.raises(ImageNotFound):
        images.open(of_task(7, {"image": address}, tags=ControlTags()))


def test_a_link_out_of_the_folder_is_not_followed(tmp_path: Path):
    (tmp_path / "secret.png").write_bytes(png())
    root = tmp_path / "root"
    root.mkdir()
    (root / "link.png").symlink_to(tmp_path / "secret.png")
    with pytest.raises(ImageNotFound, match="outside"):
        TaskImages(root=root, downloads=None).open({"mammogram": "link.png"})


def test_a_file_that_changed_since_the_import_is_refused(tmp_path: Path):
    (tmp_path / "a.png").write_bytes(png())
    data = {"mammogram": "a.png", "sha256": hashlib.sha256(png()).hexdigest()}
    images = TaskImages(root=tmp_path, downloads=None)
    assert images.open(data).sha256 == data["sha256"]
    (tmp_path / "a.png").write_bytes(png(120))
    with pytest.raises(ImageNotFound) as failure:
        images.open(data)
    assert failure.value.code == "image_changed"


def test_a_task_without_a_file_is_read_through_label_studio_with_its_stated_spacing():
    images = TaskImages(root=None, downloads=FakeDownloads("/data/upload/1/a.png", png()))
    mammogram = images.open({"image": "/data/upload/1/a.png", "spacing_mm": [0.085, 0.085]})
    assert mammogram.spacing is not None
    assert mammogram.spacing.mean_mm == pytest.approx(0.085)


@pytest.mark.parametrize(
    ("stated", "row", "column"),
    [("0.07", 0.07, 0.07), ("0,07", 0.07, 0.07), ([0.05, 0.08], 0.05, 0.08), ("[0.05, 0.08]", 0.05, 0.08)],
)
def test_a_stated_spacing_is_read_however_it_is_written(stated, row, column):
    images = TaskImages(root=None, downloads=FakeDownloads("/data/upload/1/a.png", png()))
    spacing = images.open({"image": "/data/upload/1/a.png", "spacing_mm": stated}).spacing
    assert spacing is not None
    assert (spacing.row_mm, spacing.column_mm) == (row, column)


@pytest.mark.parametrize("stated", ["about 0.07", "70", 70, True, {"row": 0.07}])
def test_a_stated_spacing_that_cannot_be_read_refuses_the_task(stated):
    images = TaskImages(root=None, downloads=FakeDownloads("/data/upload/1/a.png", png()))
    with pytest.raises(InvalidTaskData) as caught:
        images.open({"image": "/data/upload/1/a.png", "spacing_mm": stated})
    assert caught.value.code == "spacing"


@pytest.mark.parametrize("data", [{}, {"image": None}, {"image": 3}, {"image": "/data/upload/1/a.png"}])
def test_a_task_without_a_reachable_image_says_so(data):
    with pytest.raises(ImageNotFound):
        TaskImages(root=None, downloads=None).open(data)


def test_a_cloud_image_is_opened_with_the_id_of_its_task_and_under_any_name():
    downloads = FakeDownloads("s3://bucket/a.png", png())
    images = TaskImages(root=None, downloads=downloads)
    scan = ControlTags(value="scan")
    data = of_task(7, {"scan": "s3://bucket/a.png", "patient": "p1", "image": "/data/b.png"}, tags=scan)
    assert data == {"patient": "p1", "image": "s3://bucket/a.png", TASK_KEY: 7}
    assert images.open(data).size.width == 30
    assert downloads.task == 7


CC, MLO = (ControlTags(image=name.upper(), value=name, other_images=("X",)) for name in ("rcc", "rmlo"))
EXAM = {
    "rcc": "/data/a.png", "rmlo": "/data/b.png", "rcc_mammogram": "a.dcm", "rcc_sha256": "a" * 64,
    "rmlo_spacing_mm": [0.07, 0.07], "mammogram": "other.dcm", "patient": "p1", "exam": "2026-11-30",
}  # fmt: skip
SHARED = {"patient": "p1", "exam": "2026-11-30"}


@pytest.mark.parametrize(
    ("tags", "data", "shown"),
    [
        (CC, EXAM, {"image": "/data/a.png", "mammogram": "a.dcm", "sha256": "a" * 64, **SHARED}),
        (MLO, EXAM, {"image": "/data/b.png", "spacing_mm": [0.07, 0.07], **SHARED}),
        (ControlTags(), {"mammogram": "a.dcm"}, {"mammogram": "a.dcm"}),
        (ControlTags(), {"image": "/data/a.png", "view": "CC"}, {"image": "/data/a.png", "view": "CC"}),
        (
            ControlTags(value="now"),
            {"now": "/data/a.png", "view": "CC"},
            {"image": "/data/a.png", "view": "CC"},
        ),
        (
            ControlTags(value="now"),
            {"now": "/data/a.png", "image": "/data/b.png", "mammogram": "b.dcm"},
            {"image": "/data/a.png"},
        ),
        (
            ControlTags(value="all", pages=True, page=1),
            {"all": ["/data/a.png", "/data/b.png"], "all_view": ["CC", "MLO"]},
            {"image": "/data/b.png", "view": "MLO"},
        ),
    ],
)
def test_what_is_said_of_an_image_is_what_its_image_tag_names(tags, data, shown):
    assert of_task(7, data, tags=tags) == shown


@pytest.mark.parametrize(
    "data", [{}, {"image": "/data/a.png"}, {"scan": 3}, {"scan": ""}, {"scan": ["/a.png"]}]
)
def test_a_task_without_the_image_of_the_config_is_refused_and_none_is_guessed(data):
    with pytest.raises(ImageNotFound, match="'scan'"):
        of_task(7, data, tags=ControlTags(value="scan"))
