"""The presence point: the probability of a lesion below which a detection stays a box without a mask.

The threshold is chosen on validation patients, on the detections at the operating point, with the code that serves. It
is the k-th lowest presence of the n detections that hit a cluster, k = floor((1 - keep) * (n + 1)). If future
detections are exchangeable with these, an expected share of at most 1 - keep of them lies below it (split conformal
prediction; Vovk et al. 2005). No threshold is set when n < 1 / (1 - keep) - 1, where this bound is out of reach, or
when the threshold would have refused no false detection, because it could then only do harm.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from mammo.models import ModelFiles
from training.cases import Case, Progress
from training.metrics import centre_rule, judged

if TYPE_CHECKING:  # brings torch in
    from mammo.pipeline import Prelabeller

KEEP = 0.98
"""Share of the detected clusters that keep their mask. The others lose the mask, never the box."""


@dataclass(frozen=True)
class PresencePoint:
    """A threshold and its effect on the validation patients. JSON values."""

    threshold: float
    """In [0, 1]; 0: off, every detection gets its mask."""

    keep: float
    """Share of the clusters that had to keep their mask."""

    num_clusters: int
    """Detections that hit a cluster."""

    num_clusters_refused: int
    """Those of them that are denied a mask."""

    num_false: int
    """Detections that hit no cluster."""

    num_false_refused: int
    """Those of them that are denied a mask."""


def presence_point(
    prelabeller: Prelabeller, cases: Sequence[Case], *, keep: float = KEEP, progress: Progress
) -> PresencePoint:
    """Choose a model version's presence threshold.

    Args:
        prelabeller: at its operating point; its own presence threshold has no effect.
        cases: of validation patients, neither trained nor judged on.
        keep: share of the clusters that must keep their mask, in (0, 1).
        progress: called after every image.

    Raises:
        ValueError: `keep` is not in (0, 1).
    """
    if not 0 < keep < 1:
        raise ValueError(f"the share of clusters that keep their mask must lie between 0 and 1, got {keep}")
    true: list[float] = []  # presence of the detections that hit a cluster
    false: list[float] = []
    for number, case in enumerate(cases, 1):
        boxes = [finding.box for finding in case.truth]
        findings = prelabeller.prelabel(case.read(), threshold=None).findings
        for finding in judged(findings, boxes, uncertain=case.uncertain):
            if finding.presence is not None:
                hit = any(centre_rule(finding.box, box) for box in boxes)
                (true if hit else false).append(finding.presence)
        progress(number / len(cases), f"presence in {number} of {len(cases)} validation images")
    threshold = presence_threshold(true, keep=keep)
    if not any(presence < threshold for presence in false):
        threshold = 0.0
    return PresencePoint(
        threshold=threshold,
        keep=keep,
        num_clusters=len(true),
        num_clusters_refused=sum(presence < threshold for presence in true),
        num_false=len(false),
        num_false_refused=sum(presence < threshold for presence in false),
    )


def presence_facts(
    challenger: ModelFiles,
    cases: Sequence[Case],
    *,
    load: Callable[[ModelFiles], Prelabeller],
    progress: Progress,
) -> dict[str, Any]:
    """Manifest entries `presence_threshold` and `presence_point` of a challenger.

    Training shifts the presence head's output, so the threshold is chosen again; with too few clusters for a choice it
    stays the champion's. A champion without a presence threshold yields no entries.

    Args:
        challenger: with its own detection threshold and the champion's presence threshold.
    """
    if not challenger.presence_threshold:
        return {}
    point = presence_point(load(challenger), cases, progress=lambda _, message: progress(1.0, message))
    threshold = point.threshold or challenger.presence_threshold
    return {"presence_threshold": threshold, "presence_point": asdict(point)}


def presence_threshold(clusters: Sequence[float], *, keep: float) -> float:
    """The threshold for the presences of detected clusters; 0 when they are too few.

    Rounded down to four decimals, so that rounding pushes no cluster below it.
    """
    rank = int((1 - keep) * (len(clusters) + 1) + 1e-9)
    return int(sorted(clusters)[rank - 1] * 1e4) / 1e4 if rank else 0.0
