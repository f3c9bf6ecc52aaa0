"""FROC over boxes: sensitivity against false positives per image.

The rule of a hit, as in computer-aided detection: a detection hits the lesion whose true box contains the
detection's centre. A lesion counts once; further hits on it are neither true nor false positives. Overlap rules
such as IoU 0.5 are harsh for clusters of a few millimetres, and the segmenter only needs a box around one; they are
here for comparison.

Where a person marked a place and nothing is known of the extent, nobody can say whether a detection is right: it is
left out before anything is counted (`is_judged`).
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
    """Detections of one image against its truth; extra hits on a lesion that is found are left out."""

    scores: tuple[float, ...]
    """Best first."""

    true: tuple[bool, ...]
    """For each score, whether it found a lesion (else a false positive)."""

    num_lesions: int
    undecided: bool = False
    """There may be a lesion of unknown extent and there is no other: the image is neither positive nor negative."""


@dataclass(frozen=True, eq=False)
class Froc:
    """Free-response ROC: one point for every distinct score, and (0, 0) first."""

    false_positives: Floats
    """Mean false positives per image, rising."""

    sensitivity: Floats
    """Found lesions / lesions, in [0, 1], rising."""

    thresholds: Floats
    """Detections with at least this score make the point; infinite for the first."""


Rule = Callable[[Box, Box], bool]
"""Whether a detection's box (first) hits a lesion's (second)."""


def centre_rule(detection: Box, lesion: Box) -> bool:
    """The lesion's box contains the detection's centre."""
    x, y = detection.centre
    return lesion.x0 <= x < lesion.x1 and lesion.y0 <= y < lesion.y1


def iou_rule(least: float) -> Rule:
    """The boxes' intersection over union reaches `least`, in (0, 1]."""
    return lambda detection, lesion: lesion.iou(detection) >= least


def is_judged(box: Box, truth: Sequence[Box], *, uncertain: Sequence[Box]) -> bool:
    """Whether a detection can be called right or wrong.

    One that has its centre in an uncertain box and in no lesion is neither a hit nor a false alarm. What lies in a
    lesion is judged, or an outlined cluster beside a marked place could not be found.

    Args:
        uncertain: boxes around places where there may be a lesion of unknown extent.
    """
    return any(centre_rule(box, lesion) for lesion in truth) or not any(
        centre_rule(box, place) for place in uncertain
    )


class Placed(Protocol):
    """A detection, or a finding made of one."""

    @property
    def box(self) -> Box: ...


P = TypeVar("P", bound=Placed)


def judged(found: Sequence[P], truth: Sequence[Box], *, uncertain: Sequence[Box]) -> list[P]:
    """What is found in one image and can be called right or wrong, in its order: see `is_judged`."""
    return [each for each in found if is_judged(each.box, truth, uncertain=uncertain)]


RATES = (0.1, 0.25, 0.5, 1.0, 2.0, 4.0)
"""False positives per image at which sensitivity is reported."""


def match(
    detections: Sequence[Detection], truth: Sequence[Box], *, uncertain: Sequence[Box], rule: Rule
) -> Hits:
    """Which detections of one image hit a lesion; those that cannot be judged are left out.

    A detection that hits several lesions takes one that is still free, the best overlapping first.

    Args:
        uncertain: see `is_judged`.
    """
    found: set[int] = set()
    scores: list[float] = []
    true: list[bool] = []
    for detection in sorted(
        judged(detections, truth, uncertain=uncertain), key=lambda each: (-each.score, each.box.as_tuple())
    ):
        inside = [index for index, box in enumerate(truth) if rule(detection.box, box)]
        free = [index for index in inside if index not in found]
        if free:
            found.add(max(free, key=lambda index: truth[index].iou(detection.box)))
        elif inside:
            continue
        scores.append(detection.score)
        true.append(bool(free))
    return Hits(tuple(scores), tuple(true), len(truth), undecided=bool(uncertain) and not truth)


@dataclass(frozen=True, eq=False)
class Pooled:
    """The detections of many images in one row, best first, ready for curves under many weightings."""

    scores: Floats
    true: npt.NDArray[np.bool_]
    image: npt.NDArray[np.intp]
    """Index of the image that each detection belongs to."""

    num_lesions: Floats
    """Of each image."""

    @classmethod
    def of(cls, images: Sequence[Hits]) -> Pooled:
        scores = np.array([score for image in images for score in image.scores], np.float64)
        true = np.array([hit for image in images for hit in image.true], np.bool_)
        image = np.repeat(np.arange(len(images)), [len(image.scores) for image in images])
        order = np.argsort(-scores, kind="stable")
        lesions = np.array([image.num_lesions for image in images], np.float64)
        return cls(scores[order], true[order], image[order], lesions)

    def curve(self, weights: Floats | None = None) -> Froc:
        """The FROC curve.

        Args:
            weights: how often each image counts (a bootstrap draw); None: once.

        Raises:
            ValueError: no lesion in any image that counts.
        """
        counts = np.ones(len(self.num_lesions)) if weights is None else weights
        num_images, num_lesions = counts.sum(), counts @ self.num_lesions
        if not num_lesions:
            raise ValueError(f"sensitivity needs lesions: {num_images:g} images hold none")
        weight = counts[self.image]
        # Equal scores cannot be told apart by a threshold: only the end of such a group is a point of the curve.
        last = np.append(self.scores[1:] != self.scores[:-1], True)[: len(self.scores)]
        return Froc(
            false_positives=np.append(0.0, np.cumsum(weight * ~self.true)[last] / num_images),
            sensitivity=np.append(0.0, np.cumsum(weight * self.true)[last] / num_lesions),
            thresholds=np.append(np.inf, self.scores[last]),
        )


def froc(images: Sequence[Hits]) -> Froc:
    """The FROC curve over images; raises ValueError where there is no lesion."""
    return Pooled.of(images).curve()


def sensitivity_at(curve: Froc, rate: float) -> float:
    """Greatest sensitivity with at most `rate` false positives per image."""
    return float(curve.sensitivity[curve.false_positives <= rate + 1e-9][-1])
