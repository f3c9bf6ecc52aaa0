"""ImageResult: what a model version finds on one image, before it is compared with a truth."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from mammo.dicom.mammogram import Laterality
from mammo.findings import Finding
from mammo.geometry import MAX_PIXELS, Box, Point, Size, Spacing
from mammo.masks import Mask

if TYPE_CHECKING:  # brings torch in
    from mammo.detector import Detection


class ImageFacts(Protocol):
    """What an observer may ask of an image, as a `Mammogram` or a cached result answers it."""

    @property
    def size(self) -> Size: ...

    @property
    def spacing(self) -> Spacing | None: ...

    @property
    def laterality(self) -> Laterality | None: ...

    @property
    def view(self) -> str | None: ...


@dataclass(frozen=True, kw_only=True)
class StoredFacts:
    """`ImageFacts` of an image whose pixels are not there."""

    size: Size
    spacing: Spacing | None
    laterality: Laterality | None
    view: str | None


@dataclass(frozen=True, kw_only=True)
class ImageResult:
    """The results of one model version on one image."""

    facts: ImageFacts
    detections: tuple[Detection, ...]
    """With a score of at least `training.evaluation.model_version.LOW_THRESHOLD`, best first."""

    findings: tuple[Finding, ...]
    """At the operating point."""

    seconds: float
    """Duration of detector and segmenter together, when they ran."""

    def to_json(self) -> dict[str, Any]:
        """Return everything as JSON values."""
        size, spacing = self.facts.size, self.facts.spacing
        return {
            "size": [size.width, size.height],
            "spacing": asdict(spacing) if spacing else None,
            "laterality": self.facts.laterality,
            "view": self.facts.view,
            "detections": [[*each.box.as_tuple(), each.score] for each in self.detections],
            "findings": [_finding_to_json(each) for each in self.findings],
            "seconds": self.seconds,
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> ImageResult:
        """Inverse of `to_json`.

        Raises:
            ValueError, KeyError, TypeError: the content is something else.
        """
        from mammo.detector import Detection

        spacing = content["spacing"]
        return cls(
            facts=StoredFacts(
                size=Size(*content["size"]),
                spacing=Spacing(**spacing) if spacing else None,
                laterality=content["laterality"],
                view=content["view"],
            ),
            detections=tuple(Detection(Box(*box), score) for *box, score in content["detections"]),
            findings=tuple(map(_finding_from_json, content["findings"])),
            seconds=content["seconds"],
        )


def _finding_to_json(finding: Finding) -> dict[str, Any]:
    return {
        "label": finding.label,
        "score": finding.score,
        "box": finding.box.as_tuple(),
        "prompts": [[point.x, point.y] for point in finding.prompts],
        "mask": _mask_to_json(finding.mask) if finding.mask else None,
        "presence": finding.presence,
        "pixels_per_logit": finding.pixels_per_logit,
        "text": finding.text,
        "id": finding.id,
    }


def _finding_from_json(content: Mapping[str, Any]) -> Finding:
    mask = content["mask"]
    return Finding(
        label=content["label"],
        score=content["score"],
        box=Box(*content["box"]),
        prompts=tuple(Point(x, y) for x, y in content["prompts"]),
        mask=_mask_from_json(mask) if mask else None,
        presence=content["presence"],
        pixels_per_logit=content["pixels_per_logit"],
        text=tuple(content["text"]),
        id=content["id"],
    )


def _mask_to_json(mask: Mask) -> dict[str, Any]:
    bits = zlib.compress(np.packbits(mask.bitmap).tobytes(), 1)
    return {"frame": mask.frame.as_tuple(), "bits": base64.b64encode(bits).decode("ascii")}


def _mask_from_json(content: Mapping[str, Any]) -> Mask:
    frame = Box(*content["frame"])
    if frame.area > MAX_PIXELS:
        raise ValueError(f"expected a mask of at most {MAX_PIXELS} pixels, got {frame.area}")
    packed = zlib.decompress(base64.b64decode(content["bits"]))
    bits = np.unpackbits(np.frombuffer(packed, np.uint8), count=frame.area)
    return Mask(bits.astype(np.bool_).reshape(frame.height, frame.width), frame.x0, frame.y0)
