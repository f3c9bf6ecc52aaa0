"""TaskImages: the mammogram of a Label Studio task, at full bit depth if its DICOM file is available.

A task created by `yolo-mlsam import` names its DICOM file below `Settings.mammogram_root`. The networks read this
file rather than the 8-bit twin that annotators see. The image of any other task is downloaded.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import IO, Any, Self

from mammo.dicom import Mammogram, read_mammogram
from mammo.errors import ImageNotFound, InvalidRegion
from mammo.geometry import Spacing
from mammo.images.downloads.hosts import Purpose
from mammo.images.image_downloads import CLOUD_SCHEMES, ImageDownloads
from mammo.labelstudio.labeling_config import ControlTags
from mammo.stated_facts import stated_spacing

MAMMOGRAM_KEY = "mammogram"
"""Key of the path of a task's DICOM file, below `Settings.mammogram_root`."""

TASK_KEY = "label_studio_task"
"""Key of the task id in the result of `of_task`."""

IMAGE_FACTS = (MAMMOGRAM_KEY, "sha256", "spacing_mm", "view", "laterality", "converted")
"""Keys of data about one image: `mammogram` for the image `image`, `rcc_mammogram` for the image `rcc`."""

TASK_FACTS = ("patient", "exam")
"""Keys of data about all images of a task."""

SHA256 = re.compile(r"[0-9a-f]{64}")


def of_task(task: int | None, data: Mapping[str, Any], *, tags: ControlTags) -> dict[str, Any]:
    """Return the data of one of a task's images, with the keys of a task that shows only this image.

    The labeling config determines the keys: for `value="$rcc"` the address is `data["rcc"]`, the path of the DICOM
    file is `rcc_mammogram` and its digest `rcc_sha256`. Keys without a prefix belong to the image `image`, or to the
    only image. For a tag with pages each value is a list. With a cloud address, the task id is added, because Label
    Studio resolves the address for a task.

    Args:
        task: task id; None if unknown.
        data: task data.
        tags: control tags of the image.

    Raises:
        ImageNotFound: the task has no such image.
    """
    address = _of_page(data.get(tags.value), tags)
    unprefixed = tags.value == "image" or ("image" not in data and tags.is_only_image)
    image: dict[str, Any] = {}
    for key in IMAGE_FACTS:
        prefixed = f"{tags.value}_{key}"
        if prefixed in data:
            image[key] = _of_page(data[prefixed], tags)
        elif unprefixed and key in data:
            image[key] = data[key] if key == "spacing_mm" else _of_page(data[key], tags)
    image |= {key: data[key] for key in TASK_FACTS if key in data}
    if isinstance(address, str) and address:
        image["image"] = address
        if address.startswith(CLOUD_SCHEMES):
            image[TASK_KEY] = task
    elif MAMMOGRAM_KEY not in image:
        raise ImageNotFound(
            f"expected the address of an image as {tags.value!r} in the task data, which the Image tag {tags.image!r} "
            "of the labeling config shows; import the task again"
        )
    return image


def task_showing(image: Mapping[str, Any], *, tags: ControlTags) -> dict[str, Any]:
    """Return the data of a task that shows one image, under the key in the project's labeling config.

    Args:
        image: data of the image, with its address as `image`.
        tags: control tags of the project.

    Raises:
        InvalidRegion: a task of the project shows several images, or always the same one (code `labeling_config`).
    """
    if tags.siblings or tags.pages or not tags.value:
        raise InvalidRegion(
            "expected a project whose tasks show one mammogram each, got one whose tasks show several, or all the "
            'same; choose a project whose labeling config has one Image tag with value="$image"',
            code="labeling_config",
        )
    return {tags.value if key == "image" else key: value for key, value in image.items()}


def _of_page(value: Any, tags: ControlTags) -> Any:
    """Return the element of a list for the tags' page; any other value unchanged."""
    if tags.page is None or not isinstance(value, list):
        return value
    return value[tags.page] if tags.page < len(value) else None


class LocalImage:
    """An image whose content is on this machine: `open` decodes it, without any network. A context manager."""

    def __init__(self, decode: Callable[[], Mammogram], *, close: Callable[[], object] | None = None) -> None:
        """
        Args:
            decode: reads and decodes the image.
            close: deletes a download; None without one.
        """
        self._decode = decode
        self._close = close

    def open(self) -> Mammogram:
        """Read the mammogram; raises the errors of `TaskImages.open`."""
        return self._decode()

    def close(self) -> None:
        """Delete what was downloaded."""
        if self._close is not None:
            self._close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class TaskImages:
    """Reads the images of tasks."""

    def __init__(
        self,
        *,
        root: Path | None,
        downloads: ImageDownloads | None,
        patient_secret: bytes | None = None,
        max_bytes: int = 256 * 2**20,
    ) -> None:
        """
        Args:
            root: folder of the DICOM files that tasks may name; None allows none.
            downloads: downloads images by address; None allows none.
            patient_secret: secret of the patient keys; None leaves `Mammogram.patient` empty.
            max_bytes: maximum size of a file.
        """
        self._root = root.resolve() if root else None
        self._downloads = downloads
        self._patient_secret = patient_secret
        self._max_bytes = max_bytes

    def open(self, data: Mapping[str, Any]) -> Mammogram:
        """Read the mammogram of one image of a task.

        Args:
            data: of the image, as `of_task` returns it.

        Raises:
            ImageNotFound: the image is missing, not allowed or unreachable, or has changed since the import.
            UnreadableImage: the content is not a supported image.
            InvalidTaskData: the task states an invalid pixel spacing (code `spacing`).
            ImageUnavailable: the image's server does not answer.
            LabelStudioError: the personal access token could not be exchanged.
        """
        with self.fetch(data) as image:
            return image.open()

    def local(self, data: Mapping[str, Any]) -> LocalImage | None:
        """Return an image that is on this machine; None for one that must be downloaded. Nothing is read yet."""
        return LocalImage(partial(self._open_file, data)) if data.get(MAMMOGRAM_KEY) is not None else None

    def fetch(
        self, data: Mapping[str, Any], *, deadline: float | None = None, purpose: Purpose = "background"
    ) -> LocalImage:
        """Download an image, unless it is on this machine. It is decoded by `LocalImage.open`.

        Args:
            data: of the image, as `of_task` returns it.
            deadline: of the download, on the clock of `time.monotonic`; None: the limit of every image.
            purpose: see `ImageDownloads.fetch`.

        Raises:
            ImageNotFound, ImageUnavailable, LabelStudioError: as for `open`.
        """
        local = self.local(data)
        if local is not None:
            return local
        url = data.get("image")
        if not isinstance(url, str) or not url:
            raise ImageNotFound(
                "expected a mammogram or an image in the task data, got neither; import the task again"
            )
        if self._downloads is None:
            raise ImageNotFound(
                "the task's image is stored in Label Studio; set YOLO_MLSAM_LABEL_STUDIO_URL and "
                "YOLO_MLSAM_LABEL_STUDIO_API_KEY"
            )
        task = data.get(TASK_KEY)
        content = self._downloads.fetch(
            url,
            max_bytes=self._max_bytes,
            task=task if isinstance(task, int) else None,
            deadline=deadline,
            purpose=purpose,
        )
        return LocalImage(partial(self._open_download, data, content), close=content.close)

    def _open_download(self, data: Mapping[str, Any], content: IO[bytes]) -> Mammogram:
        content.seek(0)
        return read_mammogram(
            content.read(), spacing=stated_spacing(data.get("spacing_mm")), max_bytes=self._max_bytes
        )

    def _open_file(self, data: Mapping[str, Any]) -> Mammogram:
        mammogram = self._read(
            self._path(data[MAMMOGRAM_KEY]),
            spacing=stated_spacing(data.get("spacing_mm")),
            convert_for_processing=data.get("converted") is True,
        )
        expected = data.get("sha256")
        if isinstance(expected, str) and SHA256.fullmatch(expected) and expected != mammogram.sha256:
            raise ImageNotFound(
                "the DICOM file has changed since this task was created: its SHA-256 is different; "
                "restore the file or import it again as a new task",
                code="image_changed",
            )
        return mammogram

    def path(self, data: Mapping[str, Any]) -> Path | None:
        """Return the path of the DICOM file of an image; None for an image without one.

        Raises:
            ImageNotFound: as for `open`.
        """
        reference = data.get(MAMMOGRAM_KEY)
        return None if reference is None else self._path(reference)

    def fingerprint(self, data: Mapping[str, Any]) -> str | None:
        """Return a text that changes with the DICOM file of an image, from its metadata; None for an image without one.

        Raises:
            ImageNotFound: as for `open`.
        """
        path = self.path(data)
        if path is None:
            return None
        try:
            status = path.stat()
        except OSError:
            return None
        return f"{path} {status.st_size} {status.st_mtime_ns} {status.st_ino}"

    def _read(self, path: Path, *, spacing: Spacing | None, convert_for_processing: bool) -> Mammogram:
        return read_mammogram(
            path,
            spacing=spacing,
            patient_secret=self._patient_secret,
            max_bytes=self._max_bytes,
            convert_for_processing=convert_for_processing,
        )

    def _path(self, reference: object) -> Path:
        """Return the path of a DICOM file below the root; paths that leave the root are refused."""
        if self._root is None:
            raise ImageNotFound("the task names a DICOM file; set YOLO_MLSAM_MAMMOGRAM_ROOT")
        if not isinstance(reference, str) or not reference or "\0" in reference:
            raise ImageNotFound(
                "expected the task's 'mammogram' to be a path below YOLO_MLSAM_MAMMOGRAM_ROOT; import the task again"
            )
        try:
            path = (self._root / reference).resolve()
            if not path.is_relative_to(self._root):
                raise ImageNotFound(
                    "the task's 'mammogram' is outside YOLO_MLSAM_MAMMOGRAM_ROOT; move the file and import it again"
                )
            is_file = path.is_file()
        except (OSError, RuntimeError, ValueError) as error:
            # A path that is too long, circular or not text, or in a folder or on a server without access, must not stop
            # the processing of other tasks.
            reason = error.strerror if isinstance(error, OSError) else "it is a circular link or not text"
            raise ImageNotFound(
                f"the path in the task's 'mammogram' cannot be resolved: {reason}", code="unreadable_file"
            ) from None
        if not is_file:
            raise ImageNotFound(
                "the file of the task's 'mammogram' does not exist; check that the folder of "
                "YOLO_MLSAM_MAMMOGRAM_ROOT is mounted on this machine"
            )
        return path
