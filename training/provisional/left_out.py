"""Judging without a test set: every patient is judged by a model that was trained without her (leave one patient out).

With more patients than `ProvisionalRecipe.max_groups`, several are left out together.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from mammo.models import ModelFiles
from training.cases import Case, Progress, portion, unmeasured
from training.evaluation.model_version import LOW_THRESHOLD, Evaluation, ImageScore, evaluate
from training.evaluation.operating_point import QUIET_RATE, threshold_at
from training.metrics import Hits, centre_rule, froc, match
from training.provisional.recipes import ProvisionalRecipe
from training.retrain.networks import Networks

if TYPE_CHECKING:  # brings torch in
    from mammo.pipeline import Prelabeller

LEFT_OUT = "left out"
"""Version in the evaluation of the models that were each trained without the patients that it judges."""


@dataclass(frozen=True, kw_only=True)
class Trainer:
    """Trains the networks of a provisional model, resuming where it was killed."""

    networks: Networks
    start: ModelFiles
    """The champion."""

    recipe: ProvisionalRecipe
    copies: Sequence[Case]
    """With inserted clusters; those of a left-out patient are left out too."""

    def fit(self, cases: Sequence[Case], *, folder: Path, progress: Progress) -> ModelFiles:
        """Train on corrected images and their copies.

        Args:
            folder: receives the weights.

        Raises:
            InsufficientData: neither an image nor a copy has a cluster.
        """
        patients = {case.patient for case in cases}
        material = [*cases, *(copy for copy in self.copies if copy.patient in patients)]
        share = 0.6 if self.recipe.trains_segmenter else 1.0
        detector = self.networks.finetune_detector(
            material,
            [],
            start=self.start.detector,
            recipe=self.recipe.detector,
            folder=folder / "detector",
            progress=portion(progress, 0.0, share),
            measure=unmeasured,
        )
        segmenter = self.start.segmenter
        if self.recipe.trains_segmenter:
            segmenter = self.networks.finetune_segmenter(
                material,
                [],
                start=self.start.segmenter,
                recipe=self.recipe.segmenter,
                folder=folder / "segmenter",
                detector=detector,
                progress=portion(progress, share, 1.0),
                measure=unmeasured,
            )
        return replace(self.start, version=LEFT_OUT, detector=detector, segmenter=segmenter)


def groups_of(cases: Sequence[Case], *, at_most: int) -> list[set[str]]:
    """The patients that are left out together: each alone, or in `at_most` groups of nearly equal size.

    Which patients share a group depends on their keys only.
    """
    patients = sorted({case.patient for case in cases})
    number = min(at_most, len(patients))
    return [set(patients[first::number]) for first in range(number)]


@dataclass(frozen=True, kw_only=True)
class Fit:
    """A model that was trained without some patients, and what it detects in their images."""

    files: ModelFiles
    folder: Path
    """Of its weights."""

    cases: list[Case]
    hits: list[Hits]


def fit_without(
    trainer: Trainer, cases: Sequence[Case], *, at_most: int, folder: Path, progress: Progress
) -> list[Fit]:
    """Train without each group of patients in turn, and detect in what was left out."""
    groups = groups_of(cases, at_most=at_most)
    fits = []
    for number, group in enumerate(groups):
        where = f"without patient {number + 1} of {len(groups)}: "
        if any(len(each) > 1 for each in groups):
            where = f"without group {number + 1} of {len(groups)}: "
        share = portion(progress, number / len(groups), (number + 1) / len(groups), prefix=where)
        kept = [case for case in cases if case.patient not in group]
        left_out = [case for case in cases if case.patient in group]
        place = folder / f"without-{number}"
        files = trainer.fit(kept, folder=place, progress=portion(share, 0.0, 0.9))
        detect = partial(trainer.networks.load(files).detect, threshold=LOW_THRESHOLD)
        hits = []
        for done, case in enumerate(left_out, start=1):
            truth = [finding.box for finding in case.truth]
            hits.append(match(detect(case.read()), truth, uncertain=case.uncertain, rule=centre_rule))
            share(0.9 + 0.1 * done / len(left_out), f"{done} of {len(left_out)} images")
        fits.append(Fit(files=files, folder=place, cases=left_out, hits=hits))
    return fits


def pooled_threshold(fits: Sequence[Fit], champion: Evaluation, *, rate: float, default: float) -> float:
    """The lowest threshold with few false positives in the left-out images.

    It is chosen on the images that it is then judged on: one number from all of them, so it flatters little.

    Args:
        rate: most false positives per image; no more than the champion has are allowed, or than `QUIET_RATE`.
        default: returned when nothing was detected, or there is no cluster.
    """
    hits = [each for fit in fits for each in fit.hits]
    if not any(each.num_lesions for each in hits):
        return default
    allowed = min(rate, max(champion.false_positives, QUIET_RATE))
    return threshold_at(froc(hits), rate=allowed, default=default)


def evaluate_left_out(
    fits: Sequence[Fit], *, threshold: float, load: Callable[[ModelFiles], Prelabeller], progress: Progress
) -> Evaluation:
    """Evaluate every left-out image by the model that was trained without its patient."""
    images: list[ImageScore] = []
    for number, fit in enumerate(fits):
        share = portion(progress, number / len(fits), (number + 1) / len(fits))
        prelabeller = load(replace(fit.files, threshold=threshold))
        images.extend(evaluate(prelabeller, fit.cases, progress=share).images)
    return Evaluation(LEFT_OUT, threshold, tuple(images))
