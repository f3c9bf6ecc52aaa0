"""TaskImages: the mammogram that a Label Studio task shows, read at the best depth there is.

A task made by `yolo-mlsam import` names its DICOM file below `Settings.mammogram_root`; the networks then read
the full-depth pixels, not the 8-bit twin that people see. Any other task is read through Label Studio.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from mammo.dicom import Mammogram, read_mammogram
from mammo.errors import ImageNotFound

MAMMOGRAM_KEY = "mammogram"
SHA256 = re.compile(r"[0-9a-f]{64}")


class Downloads(Protocol):
    def download(self, url: str, *, max_bytes: int) -> bytes:
        """The bytes behind an image reference of a task; raises LabelStudioError."""


class TaskImages:
    """Opens the image of a task."""

    def __init__(
        self,
        *,
        root: Path | None,
        downloads: Downloads | None,
        patient_secret: bytes | None = None,
        max_bytes: int = 256 * 2**20,
    ) -> None:
        """
        Args:
            root: folder below which tasks may name DICOM files; None forbids it.
            downloads: fetches what Label Studio serves; None forbids it.
            patient_secret: key of the patient keys; None leaves `Mammogram.patient` empty.
            max_bytes: largest file that is read.
        """
        self._root = root.resolve() if root else None
        self._downloads = downloads
        self._patient_secret = patient_secret
        self._max_bytes = max_bytes

    def open(self, data: Mapping[str, Any]) -> Mammogram:
        """Read the mammogram of a task's `data`.

        Raises:
            ImageNotFound: the task names no image, or one that may not be or cannot be reached, or whose
                content is no longer what the task was made from.
            UnreadableImage: the bytes are no image we accept.
            LabelStudioError: Label Studio did not hand it over.
        """
        reference = data.get(MAMMOGRAM_KEY)
        if reference is not None:
            mammogram = self._read(
                self._path(reference),
                spacing=_stated_spacing(data),
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
            raise ImageNotFound("the task's data holds neither 'mammogram' nor 'image'; import it again")
        if self._downloads is None:
            raise ImageNotFound(
                "the task's image lies in Label Studio, and YOLO_MLSAM_LABEL_STUDIO_URL and "
                "YOLO_MLSAM_LABEL_STUDIO_API_KEY are not set"
            )
        content = self._downloads.download(url, max_bytes=self._max_bytes)
        return read_mammogram(content, spacing=_stated_spacing(data), max_bytes=self._max_bytes)

    def path(self, data: Mapping[str, Any]) -> Path | None:
        """The DICOM file of a task; None for a task whose image lies in Label Studio.

        Raises:
            ImageNotFound: as for `open`.
        """
        reference = data.get(MAMMOGRAM_KEY)
        return None if reference is None else self._path(reference)

    def _read(self, path: Path, *, spacing: float | None, convert_for_processing: bool) -> Mammogram:
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
        path = (self._root / reference).resolve()
        if not path.is_relative_to(self._root):
            raise ImageNotFound("the task's 'mammogram' lies outside YOLO_MLSAM_MAMMOGRAM_ROOT")
        if not path.is_file():
            raise ImageNotFound(
                "the task's 'mammogram' is not there; is the folder of YOLO_MLSAM_MAMMOGRAM_ROOT mounted here?"
            )
        return path


def _stated_spacing(data: Mapping[str, Any]) -> float | None:
    """Millimetres per pixel as a task states them, for an image that cannot carry them itself."""
    stated = data.get("spacing_mm")
    first = stated[0] if isinstance(stated, list) and stated else stated
    return float(first) if isinstance(first, int | float) and 0.01 <= float(first) <= 1.0 else None
