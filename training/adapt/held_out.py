"""The held-out images of an adaptation: evaluation of a model version, and the challenger's operating point."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mammo.verdicts.record import Part
from training.adapt.material import HeldOut
from training.cases import Case, Progress, portion
from training.evaluation.cache import EvaluationCache
from training.evaluation.model_version import LOW_THRESHOLD, Observer, evaluate, unobserved
from training.evaluation.operating_point import MAX_THRESHOLD, threshold_at
from training.gate.adapted import AdaptedEvaluation, together
from training.metrics import Hits, centre_rule, froc, match

if TYPE_CHECKING:  # brings torch in
    from mammo.pipeline import Prelabeller


def parts_of(held_out: HeldOut, test: list[Case]) -> list[tuple[Part, Case]]:
    """The cases that an adaptation is judged on, each with its part, in the order of their evaluation."""
    parts: dict[Part, list[Case]] = {
        "untouched": held_out.untouched,
        "inserted": held_out.inserted,
        "test": test,
    }
    return [(part, case) for part, cases in parts.items() for case in cases]


def evaluate_held_out(
    prelabeller: Prelabeller,
    held_out: HeldOut,
    test: list[Case],
    *,
    progress: Progress,
    observe: Observer = unobserved,
    cache: EvaluationCache | None = None,
) -> AdaptedEvaluation:
    """Evaluate a model version on the held-out backgrounds, untouched and with clusters, and on frozen test cases.

    Args:
        test: may be empty.
        observe: called with the results of every image, in the order of `parts_of`.
        cache: see `evaluate`.
    """
    parts = (held_out.untouched, held_out.inserted, test)
    total, done = sum(map(len, parts)), 0
    evaluations = []
    for cases in parts:
        share = portion(progress, done / total, (done + len(cases)) / total)
        evaluations.append(
            evaluate(prelabeller, cases, progress=share, observe=observe, cache=cache) if cases else None
        )
        done += len(cases)
    untouched, inserted, on_test = evaluations
    assert untouched is not None, "an adaptation holds images out"
    assert inserted is not None, "an adaptation holds images out"
    return AdaptedEvaluation(untouched, inserted, on_test)


@dataclass(frozen=True, kw_only=True)
class Rates:
    """False positives per image that an operating point allows."""

    untouched: float
    inserted: float
    """Of images with inserted clusters and benign structures."""


def operating_threshold(
    prelabeller: Prelabeller, held_out: HeldOut, *, rates: Rates, default: float, progress: Progress
) -> float:
    """Find the lowest threshold with at most the given false positives per image.

    Args:
        rates: of untouched images, and of those with clusters.
        default: returned when no cluster was inserted.
    """
    cases = [*held_out.untouched, *held_out.inserted]
    hits = {}
    for number, case in enumerate(cases, 1):
        hits[case.image] = _hits(prelabeller, case)
        progress(number / len(cases), f"{number} of {len(cases)} held-out images")
    copies: dict[str, list[Hits]] = {}
    for case in held_out.inserted:
        copies.setdefault(held_out.background_of[case.image], []).append(hits[case.image])
    untouched = [together(hits[case.image], copies.get(case.image, [])) for case in held_out.untouched]
    inserted = [hits[case.image] for case in held_out.inserted]
    if not any(each.num_lesions for each in inserted):
        return default
    # Where a false positive has the highest score of all, no threshold keeps the rate: the highest comes nearest.
    return max(
        threshold_at(froc(untouched), rate=rates.untouched, default=MAX_THRESHOLD),
        threshold_at(froc(inserted), rate=rates.inserted, default=MAX_THRESHOLD),
    )


def _hits(prelabeller: Prelabeller, case: Case) -> Hits:
    detections = prelabeller.detect(case.read(), threshold=LOW_THRESHOLD)
    truth = [finding.box for finding in case.truth]
    return match(detections, truth, uncertain=case.uncertain, rule=centre_rule)
