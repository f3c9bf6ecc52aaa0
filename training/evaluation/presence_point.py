"""The presence point: the probability of a lesion below which a detection stays a box without a mask.

Chosen on validation patients, on the detections that annotators would see there, by the code that serves. Of the
detections that hit a cluster the k-th lowest presence is taken, k = floor((1 - keep) * (n + 1)): where new detections
are like those (exchangeable), at most 1 - keep of them lie below it, on average over validation sets of n. With fewer
than 1 / (1 - keep) - 1 of them no threshold can promise that, and none is set; nor is one that denied a mask to no
false detection there: it could only cost.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol

from mammo.dicom import Mammogram
from mammo.findings import Finding
from mammo.models import ModelFiles
from training.cases import Case, Progress
from training.metrics import centre_rule, judged

KEEP = 0.98
"""Share of the detected clusters that keep their mask. What is lost is a mask, never the box."""


class Finds(Protocol):
    def prelabel(self, mammogram: Mammogram, *, threshold: float | None) -> list[Finding]: ...


@dataclass(frozen=True)
class PresencePoint:
    """A threshold and what it did where it was chosen. JSON values."""

    threshold: float
    """In [0, 1]; 0: off, every detection gets its mask."""

    keep: float
    """Share of the clusters that were to keep their mask."""

    num_clusters: int
    """Detections that hit a cluster; those that a mask was denied are `num_clusters_refused`."""

    num_clusters_refused: int

    num_false: int
    """Detections that hit none; those that a mask was denied are `num_false_refused`."""

    num_false_refused: int


def presence_point(
    prelabeller: Finds, cases: Sequence[Case], *, keep: float = KEEP, progress: Progress
) -> PresencePoint:
    """Choose a model version's presence threshold.

    Args:
        prelabeller: `mammo.pipeline.Prelabeller` at its operating point; its own presence threshold plays no part.
        cases: of validation patients, neither trained on nor judged on.
        keep: share of the clusters that must keep their mask, in (0, 1).
        progress: told after each image.

    Raises:
        ValueError: `keep` is not in (0, 1).
    """
    if not 0 < keep < 1:
        raise ValueError(f"the share of clusters that keep their mask must lie between 0 and 1, got {keep}")
    true: list[float] = []
    false: list[float] = []
    for number, case in enumerate(cases, 1):
        boxes = [finding.box for finding in case.truth]
        findings = prelabeller.prelabel(case.read(), threshold=None)
        for finding in judged(findings, boxes, uncertain=case.uncertain):
            if finding.presence is not None:
                hit = any(centre_rule(finding.box, box) for box in boxes)
                (true if hit else false).append(finding.presence)
        progress(number / len(cases), f"presence in {number} of {len(cases)} validation images")
    threshold = presence_threshold(true, keep=keep)
    if not any(each < threshold for each in false):
        threshold = 0.0
    return PresencePoint(
        threshold=threshold,
        keep=keep,
        num_clusters=len(true),
        num_clusters_refused=sum(each < threshold for each in true),
        num_false=len(false),
        num_false_refused=sum(each < threshold for each in false),
    )


def presence_facts(
    challenger: ModelFiles, cases: Sequence[Case], *, load: Callable[[ModelFiles], Finds], progress: Progress
) -> dict[str, Any]:
    """What a challenger's manifest says of presence: nothing where its champion has no threshold.

    Training moves presences, so the threshold is chosen anew; too few clusters to choose by leave the champion's.

    Args:
        challenger: with its own detection threshold and its champion's presence threshold.
    """
    if not challenger.presence_threshold:
        return {}
    point = presence_point(load(challenger), cases, progress=lambda _, message: progress(1.0, message))
    threshold = point.threshold or challenger.presence_threshold
    return {"presence_threshold": threshold, "presence_point": asdict(point)}


def presence_threshold(clusters: Sequence[float], *, keep: float) -> float:
    """The threshold from the presences of detected clusters; 0 where they are too few to tell.

    Rounded down to four places, so that no cluster falls below it by rounding.
    """
    rank = int((1 - keep) * (len(clusters) + 1) + 1e-9)
    return int(sorted(clusters)[rank - 1] * 1e4) / 1e4 if rank else 0.0
