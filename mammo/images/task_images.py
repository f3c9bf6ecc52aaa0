"""TaskImages: the mammogram that a Label Studio task shows, read at the best depth there is.

A task made by `yolo-mlsam import` names its DICOM file below `Settings.mammogram_root`; the networks then read
the full-depth pixels, not the 8-bit twin that people see. Any other task is read through Label Studio.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mammo.dicom import Mammogram, read_mammogram
from mammo.errors import ImageNotFound, InvalidRegion
from mammo.geometry import Spacing
from mammo.images.image_downloads import CLOUD_SCHEMES, ImageDownloads
from mammo.labelstudio.labeling_config import ControlTags
from mammo.stated_facts import stated_spacing

MAMMOGRAM_KEY = "mammogram"
TASK_KEY = "label_studio_task"
"""Id of the task, in what `of_task` makes of its data."""

OF_ONE_IMAGE = (MAMMOGRAM_KEY, "sha256", "spacing_mm", "view", "laterality", "converted")
"""Keys that say something of one image: `mammogram` of the image `image`, `rcc_mammogram` of the image `rcc`."""

SHARED = ("patient", "exam")
"""Keys that say something of the whole task."""

SHA256 = re.compile(r"[0-9a-f]{64}")


def of_task(task: int | None, data: Mapping[str, Any], *, tags: ControlTags) -> dict[str, Any]:
    """What a task's data say of one of its images, in the keys of a task that shows only that one.

    The labeling config names the image: `value="$rcc"` shows `data["rcc"]`, its DICOM file is `rcc_mammogram`, its
    content `rcc_sha256`. Without such a prefix the keys belong to the image `image`, or to the only one there is. Of a
    list of images each key holds a list. A cloud address is resolved by Label Studio for one task, whose id is added.

    Raises:
        ImageNotFound: the data hold no such image.
    """
    stated = _of_page(data.get(tags.value), tags)
    unprefixed = tags.value == "image" or ("image" not in data and tags.is_only_image)
    found: dict[str, Any] = {}
    for key in OF_ONE_IMAGE:
        own = f"{tags.value}_{key}"
        if own in data:
            found[key] = _of_page(data[own], tags)
        elif unprefixed and key in data:
            found[key] = data[key] if key == "spacing_mm" else _of_page(data[key], tags)
    found |= {key: data[key] for key in SHARED if key in data}
    if isinstance(stated, str) and stated:
        found["image"] = stated
        if stated.startswith(CLOUD_SCHEMES):
            found[TASK_KEY] = task
    elif MAMMOGRAM_KEY not in found:
        raise ImageNotFound(
            f"the labeling config's image {tags.image!r} shows the task's {tags.value!r}, and the task's data hold "
            "no address of an image there; import it again"
        )
    return found


def task_showing(described: Mapping[str, Any], *, tags: ControlTags) -> dict[str, Any]:
    """The data of a task for one image, under the key that the project's labeling config shows.

    Args:
        described: what is known of the image, its address as `image`.

    Raises:
        InvalidRegion: a task of the project shows several images, or always the same one (code `labeling_config`).
    """
    if tags.siblings or tags.pages or not tags.value:
        raise InvalidRegion(
            "a task of the project shows several mammograms (or one image for every task), and a file becomes a task "
            'of its own: take a project whose labeling config has one Image tag with value="$image"',
            code="labeling_config",
        )
    return {tags.value if key == "image" else key: value for key, value in described.items()}


def _of_page(value: Any, tags: ControlTags) -> Any:
    """What a list says of the tags' page; anything else as it is."""
    if tags.page is None or not isinstance(value, list):
        return value
    return value[tags.page] if tags.page < len(value) else None


class TaskImages:
    """Opens the image of a task."""

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
            root: folder below which tasks may name DICOM files; None forbids it.
            downloads: fetches what tasks name by address; None forbids it.
            patient_secret: key of the patient keys; None leaves `Mammogram.patient` empty.
            max_bytes: largest file that is read.
        """
        self._root = root.resolve() if root else None
        self._downloads = downloads
        self._patient_secret = patient_secret
        self._max_bytes = max_bytes

    def open(self, data: Mapping[str, Any]) -> Mammogram:
        """Read the mammogram of a task's data, as `of_task` makes them for one image.

        Raises:
            ImageNotFound: the task names no image, or one that may not be or cannot be reached, or whose
                content is no longer what the task was made from.
            UnreadableImage: the bytes are no image we accept.
            InvalidTaskData: the task states a pixel spacing that cannot be read (code `spacing`).
            ImageUnavailable: the server that has it does not answer now.
            LabelStudioError: Label Studio refuses our access token.
        """
        reference = data.get(MAMMOGRAM_KEY)
        if reference is not None:
            mammogram = self._read(
                self._path(reference),
                spacing=stated_spacing(data.get("spacing_mm")),
                convert_for_processing=data.get("converted") is True,
            )
            expected = data.get("sha256")
            if isinstance(expected, str) and SHA256.fullmatch(expected) and expected != mammogram.sha256:
                raise ImageNotFound(
                    "the DICOM file is not the one this task was made from: its SHA-256 has changed; "
                    "restore the file or import it again as a new task",
                    code="image_changed",
                )
            return mammogram
        url = data.get("image")
        if not isinstance(url, str) or not url:
            raise ImageNotFound("the task names neither a mammogram nor an image; import it again")
        if self._downloads is None:
            raise ImageNotFound(
                "the task's image lies in Label Studio, and YOLO_MLSAM_LABEL_STUDIO_URL and "
                "YOLO_MLSAM_LABEL_STUDIO_API_KEY are not set"
            )
        task = data.get(TASK_KEY)
        content = self._downloads.download(
            url, max_bytes=self._max_bytes, task=task if isinstance(task, int) else None
        )
        return read_mammogram(
            content, spacing=stated_spacing(data.get("spacing_mm")), max_bytes=self._max_bytes
        )

    def path(self, data: Mapping[str, Any]) -> Path | None:
        """The DICOM file of a task; None for a task whose image lies in Label Studio.

        Raises:
            ImageNotFound: as for `open`.
        """
        reference = data.get(MAMMOGRAM_KEY)
        return None if reference is None else self._path(reference)

    def fingerprint(self, data: Mapping[str, Any]) -> str | None:
        """What changes whenever a task's DICOM file does, without reading it; None for an image elsewhere.

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
        """A task's path below the root; anything that could leave it is refused."""
        if self._root is None:
            raise ImageNotFound("the task names a DICOM file, and YOLO_MLSAM_MAMMOGRAM_ROOT is not set")
        if not isinstance(reference, str) or not reference or "\0" in reference:
            raise ImageNotFound("the task's 'mammogram' must be a path below YOLO_MLSAM_MAMMOGRAM_ROOT")
        try:
            path = (self._root / reference).resolve()
            if not path.is_relative_to(self._root):
                raise ImageNotFound("the task's 'mammogram' lies outside YOLO_MLSAM_MAMMOGRAM_ROOT")
            is_file = path.is_file()
        except (OSError, RuntimeError, ValueError) as error:
            # Too long, in a folder that may not be entered, on a server that is gone, a link to itself, no text: the
            # fault of this task or of its place, and no reason to stop with the others.
            reason = error.strerror if isinstance(error, OSError) else "it leads nowhere"
            raise ImageNotFound(
                f"the task's 'mammogram' cannot be looked up: {reason}", code="unreadable_file"
            ) from None
        if not is_file:
            raise ImageNotFound(
                "the task's 'mammogram' is not there; is the folder of YOLO_MLSAM_MAMMOGRAM_ROOT mounted here?"
            )
        return path
