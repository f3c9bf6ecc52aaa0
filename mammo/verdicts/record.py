"""VerdictRecord: what the gate keeps of the evaluations of champion and challenger, as a versioned JSON.

Coordinates are pixels of the whole image; boxes are half open. Patients are keys, never names. Pictures are blobs.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mammo.errors import StorageUnavailable
from mammo.geometry import Box

FORMAT: Literal[2] = 2
"""Version of the JSON. A change of meaning, or a field that older readers would miss, takes the next number."""

READABLE = (1, 2)
"""Formats that are read. 2 has the parts of an adaptation's images."""

Role = Literal["champion", "challenger"]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Share = Annotated[float, Field(ge=0, le=1)]
Part = Literal["inserted", "untouched", "test"]
Pixel = tuple[int, int]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class Shape(_Part):
    """A box, and the outlines of its mask."""

    corners: tuple[int, int, int, int]
    parts: tuple[tuple[Pixel, ...], ...]
    """Polygons; empty if only the box is known."""

    @property
    def box(self) -> Box:
        return Box(*self.corners)


class Lesion(_Part):
    """A true cluster."""

    shape: Shape
    diameter_mm: float | None
    """Longer side of its box; None without a pixel spacing."""

    surroundings: Share | None = None
    """Brightness of the tissue around it: the share of the breast's pixels that are darker. None: not measured."""


class Found(_Part):
    """A finding of a model at its operating point."""

    shape: Shape
    score: Share
    lesion: int | None
    """Index of the lesion that it hit; None for a false positive."""

    dice: Share | None
    """Of its mask and the lesion's; None for a false positive, or if either has no mask."""


class Answer(_Part):
    """The results of one model on one image."""

    found: tuple[Found, ...]
    best: tuple[Share | None, ...]
    """For each lesion, the best score of any detection that hit it, also below the operating point."""


class Picture(_Part):
    """A grey picture, as WebP in a blob."""

    sha256: Sha256
    width: int
    height: int
    frame: tuple[int, int, int, int]
    """The part of the image that it shows."""

    bytes: int


class Image(_Part):
    """One held-out image."""

    sha256: Sha256
    patient: str
    task: int | None
    view: str | None = None
    size: tuple[int, int]
    """Width and height."""

    spacing: tuple[float, float] | None
    """Of rows and columns, in mm."""

    lesions: tuple[Lesion, ...]
    part: Part | None = None
    """Of an adaptation's images: a background with inserted clusters, one as it is, or that of a frozen test patient.
    None: a held-out image of a retrain."""

    champion: Answer
    challenger: Answer
    levels: tuple[Picture, ...] = ()
    """The whole image in several sizes, smallest first."""

    def answer(self, role: Role) -> Answer:
        return self.champion if role == "champion" else self.challenger


class Curve(_Part):
    """A FROC curve at given false positives per image, with its 90 % band over draws of patients."""

    false_positives: tuple[float, ...]
    sensitivity: tuple[Share, ...]
    low: tuple[Share, ...]
    high: tuple[Share, ...]


class Model(_Part):
    version: str
    threshold: Share
    """Its operating point."""

    curve: Curve | None
    """None without a lesion."""


class LeftOut(_Part):
    """Why pictures are missing."""

    places: int
    """Lesions and false alarms without a picture."""

    reason: str


class VerdictRecord(_Part):
    """Both evaluations of one run, image by image."""

    format: Literal[1, 2]
    run: str
    project: int
    promote: bool
    reason: str
    verdict: dict[str, Any]
    """The gate's figures and rule, as `models show` has them."""

    champion: Model
    challenger: Model
    images: tuple[Image, ...]
    crops: dict[str, Picture]
    """By `Place.key`."""

    left_out: LeftOut | None

    def model(self, role: Role) -> Model:
        return self.champion if role == "champion" else self.challenger

    @property
    def pictures(self) -> dict[str, Picture]:
        """All pictures, by SHA-256."""
        levels = (level for image in self.images for level in image.levels)
        return {each.sha256: each for each in (*self.crops.values(), *levels)}

    def to_bytes(self) -> bytes:
        """Return the JSON."""
        return self.model_dump_json().encode()


def read_record(content: bytes) -> VerdictRecord:
    """Read a record.

    Raises:
        StorageUnavailable: it is of another release (code `verdict_format`), or damaged (code `damaged_verdict`).
    """
    try:
        raw = json.loads(content)
    except ValueError as error:
        raise _damaged("it is no JSON") from error
    if not isinstance(raw, Mapping):
        raise _damaged("it is no JSON object")
    if raw.get("format") not in READABLE:
        raise StorageUnavailable(
            f"the verdict's record has format {str(raw.get('format'))[:20]!r}, and this release reads "
            f"formats {' and '.join(map(str, READABLE))}; "
            "read it with the release that wrote it, or retrain",
            code="verdict_format",
        )
    try:
        return VerdictRecord.model_validate_json(content)
    except ValidationError as error:
        first = error.errors()[0]
        raise _damaged(f"{'.'.join(map(str, first['loc']))[:80]}: {first['msg'][:80]}") from error


def _damaged(why: str) -> StorageUnavailable:
    return StorageUnavailable(
        f"the verdict's record cannot be read ({why}); restore its blob from a backup", code="damaged_verdict"
    )
