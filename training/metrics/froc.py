"""FROC over boxes: sensitivity against false positives per image.

The hit rule is that of computer-aided detection: a detection hits a lesion if its centre lies in the lesion's true box.
A lesion counts once; further hits on it are neither true nor false positives. Overlap rules such as IoU 0.5 are harsh
for clusters of a few millimetres, and the segmenter only needs a box around one; they are here for comparison.

Where a person marked only a place, the extent of the lesion is unknown, and a detection there can be called neither
right nor wrong: it is dropped before anything is counted (`is_judged`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from mammo.geometry import Box

if TYPE_CHECKING:
    from mammo.detector import Detection

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Hits:
    """The detections of one image, matched with its lesions; further hits on a lesion are dropped."""

    scores: tuple[float, ...]
    """Best first."""

    true: tuple[bool, ...]
    """For each score, whether the detection hit a lesion; otherwise it is a false positive."""

    num_lesions: int
    undecided: bool = False
    """Whether the image is neither positive nor negative: its only lesions, if any, are of unknown extent."""


@dataclass(frozen=True, eq=False)
class Froc:
    """Free-response ROC curve: (0, 0), then one point for every distinct score, highest first."""

    false_positives: Floats
    """Mean false positives per image, ascending."""

    sensitivity: Floats
    """Lesions hit / lesions, in [0, 1], ascending."""

    thresholds: Floats
    """Score threshold of each point, descending; infinite for the first."""


Rule = Callable[[Box, Box], bool]
"""Whether a detection's box (first) hits a lesion's box (second)."""


def centre_rule(detection: Box, lesion: Box) -> bool:
    """The lesion's box contains the detection's centre."""
    x, y = detection.centre
    return lesion.x0 <= x < lesion.x1 and lesion.y0 <= y < lesion.y1


def iou_rule(minimum: float) -> Rule:
    """The intersection over union of the boxes is at least `minimum`, in (0, 1]."""
    return lambda detection, lesion: lesion.iou(detection) >= minimum


def is_judged(box: Box, truth: Sequence[Box], *, uncertain: Sequence[Box]) -> bool:
    """Whether a detection can be called right or wrong.

    It cannot if its centre lies in an uncertain box and in no lesion. Hits on a lesion always count, so that an
    outlined cluster beside a marked place can be detected.

    Args:
        uncertain: boxes around places where there may be a lesion of unknown extent.
    """
    return any(centre_rule(box, lesion) for lesion in truth) or not any(
        centre_rule(box, place) for place in uncertain
    )


class HasBox(Protocol):
    """A detection or a finding."""

    @property
    def box(self) -> Box: ...


class HasScore(HasBox, Protocol):
    """A detection or a finding, with its score."""

    @property
    def score(self) -> float: ...


T = TypeVar("T", bound=HasBox)
S = TypeVar("S", bound=HasScore)


def judged(detections: Sequence[T], truth: Sequence[Box], *, uncertain: Sequence[Box]) -> list[T]:
    """The detections or findings of one image that can be called right or wrong, in order: see `is_judged`."""
    return [each for each in detections if is_judged(each.box, truth, uncertain=uncertain)]


RATES = (0.1, 0.25, 0.5, 1.0, 2.0, 4.0)
"""False positives per image at which sensitivity is reported."""


def match(
    detections: Sequence[Detection], truth: Sequence[Box], *, uncertain: Sequence[Box], rule: Rule
) -> Hits:
    """Match the detections of one image with its lesions, best score first; those that cannot be judged are dropped.

    A detection that hits several lesions is matched with the free one of the highest IoU.

    Args:
        uncertain: see `is_judged`.
    """
    matched = pair(detections, truth, uncertain=uncertain, rule=rule)
    return Hits(
        tuple(detection.score for detection, _ in matched),
        tuple(lesion is not None for _, lesion in matched),
        len(truth),
        undecided=bool(uncertain) and not truth,
    )


def pair(
    detections: Sequence[S], truth: Sequence[Box], *, uncertain: Sequence[Box], rule: Rule
) -> list[tuple[S, int | None]]:
    """The detections or findings that `match` counts, best score first, each with the index of its lesion.

    The index of a false positive is None.
    """
    matched: set[int] = set()
    pairs: list[tuple[S, int | None]] = []
    for detection in sorted(
        judged(detections, truth, uncertain=uncertain), key=lambda each: (-each.score, each.box.as_tuple())
    ):
        hits = [index for index, box in enumerate(truth) if rule(detection.box, box)]
        free = [index for index in hits if index not in matched]
        lesion = None
        if free:
            lesion = max(free, key=lambda index: truth[index].iou(detection.box))
            matched.add(lesion)
        elif hits:  # only lesions that are matched already
            continue
        pairs.append((detection, lesion))
    return pairs


@dataclass(frozen=True, eq=False)
class Pooled:
    """The detections of many images, sorted by score; yields the FROC curve for any image weights."""

    scores: Floats
    true: npt.NDArray[np.bool_]
    image: npt.NDArray[np.intp]
    """Index of the image that each detection belongs to."""

    num_lesions: Floats
    """Of each image."""

    counted: Floats
    """Of each image: 1 if its false positives count, otherwise 0."""

    @classmethod
    def of(cls, images: Sequence[Hits], *, counted: Sequence[bool] | None = None) -> Pooled:
        """Pool images.

        Args:
            counted: of each image, whether its false positives count, and the image in the mean of false positives per
                image; None: all do. Normal images alone give the rate at which a site would be disturbed.
        """
        scores = np.array([score for image in images for score in image.scores], np.float64)
        true = np.array([hit for image in images for hit in image.true], np.bool_)
        image = np.repeat(np.arange(len(images)), [len(image.scores) for image in images])
        order = np.argsort(-scores, kind="stable")
        lesions = np.array([image.num_lesions for image in images], np.float64)
        false = np.ones(len(images)) if counted is None else np.array(counted, np.float64)
        return cls(scores[order], true[order], image[order], lesions, false)

    def curve(self, weights: Floats | None = None) -> Froc:
        """The FROC curve.

        Args:
            weights: of each image, for example its number of copies in a bootstrap draw; None: 1.

        Raises:
            ValueError: no image with a weight has a lesion, or none of them counts for false positives.
        """
        counts = np.ones(len(self.num_lesions)) if weights is None else weights
        num_images, num_lesions = counts @ self.counted, counts @ self.num_lesions
        if not num_lesions:
            raise ValueError(f"sensitivity is undefined: {counts.sum():g} images have no lesions")
        if not num_images:
            raise ValueError("false positives per image are undefined: no image counts for them")
        weight, false_weight = counts[self.image], (counts * self.counted)[self.image]
        # No threshold separates equal scores: only the last of such a group is a point of the curve.
        last = np.append(self.scores[1:] != self.scores[:-1], True)[: len(self.scores)]
        return Froc(
            false_positives=np.append(0.0, np.cumsum(false_weight * ~self.true)[last] / num_images),
            sensitivity=np.append(0.0, np.cumsum(weight * self.true)[last] / num_lesions),
            thresholds=np.append(np.inf, self.scores[last]),
        )


def froc(images: Sequence[Hits], *, counted: Sequence[bool] | None = None) -> Froc:
    """The FROC curve over images.

    Args:
        counted: see `Pooled.of`.

    Raises:
        ValueError: there is no lesion, or no image counts for false positives.
    """
    return Pooled.of(images, counted=counted).curve()


def sensitivity_at(curve: Froc, rate: float) -> float:
    """The highest sensitivity with at most `rate` false positives per image."""
    return float(curve.sensitivity[curve.false_positives <= rate + 1e-9][-1])
