"""Finding: one microcalcification cluster, as exchanged between the model, annotations and exports.

ImageFindings: what a model finds on one image.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from mammo.geometry import Box, Point
from mammo.landmarks import Landmarks
from mammo.masks import Mask

CLUSTER = "Cluster"
"""Label of a microcalcification cluster, in findings and in our labeling config."""

MAX_FINDINGS = 20
"""Maximum number of findings of a model on one image; each costs a segmentation and a reader's attention."""

POINT_REACH_MM = 11.0
"""Radius in mm around a point-only finding within which its cluster may lie: half the size of the largest cluster."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One microcalcification cluster in the pixel frame of one mammogram."""

    label: str
    """Currently always `CLUSTER`."""

    score: float
    """Detector confidence in [0, 1]; 1 for a finding that a person drew."""

    box: Box
    """Bounding box, inside the image."""

    prompts: tuple[Point, ...] = ()
    """Point prompts of the mask, in the order of the prompt rule."""

    mask: Mask | None = None
    """The cluster's pixels; None when only the box is known."""

    is_point: bool = False
    """A person marked a point only: the extent is unknown, and `box` is the marked pixel."""

    presence: float | None = None
    """The segmenter's probability that the ROI contains a lesion; None without a presence head."""

    pixels_per_logit: float | None = None
    """Width of one mask logit, in image pixels; None for a finding that a person drew."""

    text: tuple[str, ...] = ()
    """Text shown with the finding, as lines; empty for a finding that a person drew."""

    morphology: str | None = None
    distribution: str | None = None
    suspicion: str | None = None
    """What a person said about the calcifications, or a head proposed, in words of `mammo.bi_rads`; None: nothing."""

    proposed: tuple[tuple[str, float], ...] = ()
    """Descriptors whose word a head proposed, each with its probability in [0, 1]; the others are a person's."""

    word_head: str = ""
    """Name of that head; see `mammo.words`."""

    comment: str = field(default="", repr=False)
    """What a person wrote about the finding; may name a patient, so it is in neither `descriptors` nor `attributes`."""

    id: str = ""
    """Identifier, unique within a prediction or annotation; empty until one is assigned."""

    lesion: str = ""
    """Id of the lesion that a finding on another image of the task shows too; empty when none is linked."""

    def __post_init__(self) -> None:
        if not 0.0 <= self.score <= 1.0:
            raise ValueError(f"expected a score in [0, 1], got {self.score}")
        if self.is_point and (self.mask is not None or self.box.area != 1):
            raise ValueError(
                "expected a point finding with a box of one pixel and no mask, "
                f"got box {self.box.as_tuple()} and mask {self.mask}"
            )

    @property
    def descriptors(self) -> dict[str, str]:
        """The descriptors that are known, by name."""
        words = {
            "morphology": self.morphology,
            "distribution": self.distribution,
            "suspicion": self.suspicion,
        }
        return {name: word for name, word in words.items() if word is not None}

    @property
    def attributes(self) -> dict[str, str]:
        """The descriptors, and the lesion, as far as they are known: what is stored and exported beside the shape."""
        return self.descriptors | ({"lesion": self.lesion} if self.lesion else {})


@dataclass(frozen=True, kw_only=True)
class ImageFindings:
    """The findings of a model on one image."""

    findings: tuple[Finding, ...]
    """At most `MAX_FINDINGS`, highest score first. Empty means that nothing was found."""

    num_cut: int
    """Number of detections above the threshold that are no findings here, because others have higher scores."""

    landmarks: Landmarks | None = None
    """Of the breast; None if they were not found, or not sought."""
