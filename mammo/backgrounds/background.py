"""Background: one image of a set, and BackgroundSet: images with one licence."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, replace
from pathlib import Path

from mammo.dicom import Mammogram, read_mammogram
from mammo.dicom.limits import MAX_BYTES, read_bytes
from mammo.errors import InvalidBackgrounds
from mammo.geometry import Box, Spacing


@dataclass(frozen=True, kw_only=True)
class Background:
    """A real mammogram without suspicious calcifications."""

    path: Path
    """Its file in the folder of its set: a published image, or a site's own without any patient tag."""

    spacing: Spacing
    """Pixel spacing in the breast."""

    patient: str
    """Patient key: that of the site's tasks for its own images, `<set>-<name>` in a public set."""

    sha256: str
    """Of the file's bytes, hexadecimal."""

    avoid: tuple[Box, ...] = ()
    """Boxes in which nothing may be inserted, and from which nothing is learned: what lies there is uncertain."""

    def read(self) -> Mammogram:
        """Read the image: pixels H x W, float32 in [0, 1], dense tissue bright; spacing and patient are the set's.

        Raises:
            InvalidBackgrounds: the file is missing (code `missing_background`) or has changed since it was added (code
                `damaged_background`).
            UnreadableImage: see `read_mammogram`.
        """
        where = f"{self.path.name} of the background set {self.path.parent.name}"
        if not os.path.lexists(self.path):
            raise InvalidBackgrounds(
                f"{where} is missing; run `yolo-mlsam backgrounds add` again", code="missing_background"
            )
        data = read_bytes(self.path, max_bytes=MAX_BYTES)
        if hashlib.sha256(data).hexdigest() != self.sha256:
            raise InvalidBackgrounds(
                f"{where} is damaged: its SHA-256 is not that of the file that was added; "
                "run `yolo-mlsam backgrounds add` again",
                code="damaged_background",
            )
        return replace(read_mammogram(data, spacing=self.spacing), spacing=self.spacing, patient=self.patient)


@dataclass(frozen=True, kw_only=True)
class BackgroundSet:
    """Background images with one licence."""

    name: str
    licence: str
    source: str
    """Where the images are from."""

    may_ship: bool
    """Whether weights trained on them may leave the site; False for a site's own images."""

    patients_assumed: bool
    """Whether each image counts as a patient of its own because its source does not tell; there are at most so many."""

    backgrounds: tuple[Background, ...]

    @property
    def num_patients(self) -> int:
        return len({background.patient for background in self.backgrounds})

    @property
    def spacing_range_mm(self) -> tuple[float, float]:
        """Smallest and largest pixel spacing, in mm."""
        spacings = [background.spacing.mean_mm for background in self.backgrounds]
        return min(spacings), max(spacings)

    @property
    def num_missing(self) -> int:
        """Number of images whose file is gone."""
        return sum(not os.path.isfile(background.path) for background in self.backgrounds)
