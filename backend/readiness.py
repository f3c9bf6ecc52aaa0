"""Readiness: whether a retrain of a project could start now, could succeed, and what it still needs."""

from __future__ import annotations

from dataclasses import dataclass

from mammo.annotations import AnnotationStore, DatasetFacts
from mammo.settings import Settings
from mammo.training_settings import RecipeName

ONE_IN = 4
"""About one patient in so many is held out; see `training.datasets.folds.SHARES`."""


@dataclass(frozen=True, kw_only=True)
class Waiting:
    """What a retrain of a project would learn from."""

    corrections: int
    """New ones: those that its newest dataset version does not hold."""

    patients: int
    """Of the new corrections."""

    dataset: DatasetFacts | None
    """The newest dataset version, which the new corrections are added to."""

    @classmethod
    def of(cls, project: int, store: AnnotationStore) -> Waiting:
        """Count what waits in a project; slow with many new corrections."""
        new = store.new_corrections(project)
        dataset = store.newest_dataset(project)
        return cls(corrections=new.corrections, patients=new.patients, dataset=dataset)

    def lacking(self, settings: Settings, recipe: RecipeName) -> int:
        """Return about how many more patients it takes until the gate can decide; 0: none, or it is not known."""
        return max(0, ONE_IN * (settings.min_test_patients(recipe) - self._held_out(self.patients / ONE_IN)))

    def refusal(self, settings: Settings, recipe: RecipeName) -> str | None:
        """Return why a retrain cannot succeed, whatever its images show; None if it may."""
        if not self.corrections and self.dataset is None:
            return "there is no correction yet; annotate some tasks first"
        needed = settings.min_test_patients(recipe)
        # Even if every new patient were held out.
        if self._held_out(self.patients) < needed:
            return (
                f"the gate needs {needed} held-out patients with the recipe {recipe}, and about one patient in "
                f"{ONE_IN} is held out: annotate about {self.lacking(settings, recipe)} more patients first"
            )
        return None

    def uses(self) -> str:
        """Say what a retrain would learn from."""
        before = "" if self.dataset is None else f", added to the {self.dataset.num_images} images of before"
        if not self.corrections:
            return f"no new correction{before}"
        return f"{self.corrections} new corrections of {self.patients} patients{before}"

    def _held_out(self, new: float) -> int:
        """Held-out patients after `new` more; as many as ever are needed if those of now are not known."""
        if self.dataset is None:
            return round(new)
        known = self.dataset.num_held_out
        return 10**6 if known is None else known + round(new)


def readiness(waiting: Waiting, settings: Settings, recipe: RecipeName) -> str:
    """Say whether a retrain would start by itself and could end in a promotion, and what either still needs."""
    if (refusal := waiting.refusal(settings, recipe)) is not None:
        return f"Not yet: {refusal}."
    if not waiting.corrections:
        return "Nothing new to learn from: every correction is in the newest dataset version."
    gate = waiting.lacking(settings, recipe)
    can_decide = f" About {gate} more patients until the gate can decide." if gate else ""
    corrections = settings.train_after - waiting.corrections
    patients = settings.train_least_patients - waiting.patients
    needed = [f"{corrections} more corrections"] if corrections > 0 else []
    needed += [f"{patients} more patients"] if patients > 0 else []
    if needed:
        return (
            f"{' and '.join(needed)} until a retrain starts by itself; it can be started by hand.{can_decide}"
        )
    return can_decide.strip() or "There is enough for a retrain."
