"""The patients of a simulated project, and others that are never annotated: the frozen ones, whose truth is exact."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from benchmarks import second_look
from mammo.dicom import Mammogram
from mammo.phantom import vendor_b
from training.cases import Case, Progress
from training.phantom_cases import PHANTOM_SECRET, write_phantom_patients

FIRST_SEED = 830_000
"""Of the phantom patients; no others of this product use seeds from here to 899,999."""

FROZEN_SEEDS = 500
"""Distance of the frozen patients' seeds from those of their project."""

POSITIVE = 0.75
"""Probability that a breast has clusters."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How large a simulated project is."""

    patients: int = 60
    frozen: int = 20
    rounds: int = 5
    views: int = 2
    """Images of a phantom patient: CC of the left breast, of both, or all four views (1, 2 or 4)."""

    width: int = 640
    height: int = 896
    """Of a phantom view, in pixels: a small breast, so that one core suffices."""

    groups: int = 4
    """Left-out groups by which a provisional model is judged; eight in the product."""

    smoke: bool = False
    """Whether to train by recipes of seconds, whose models are useless."""


@dataclass(frozen=True)
class Material:
    """The images of one simulated project."""

    name: str
    """For reports."""

    project: Sequence[Case]
    frozen: Sequence[Case]

    @cached_property
    def by_image(self) -> dict[str, Case]:
        return {case.image: case for case in (*self.project, *self.frozen)}

    def read(self, image: str) -> Mammogram:
        """Read an image by its SHA-256."""
        return self.by_image[image].read()


def phantoms(plan: Plan, seed: int, folder: Path, *, progress: Progress) -> Material:
    """Draw phantom patients of `vendor_b`, another vendor than that of the starter's training."""
    first = FIRST_SEED + 1000 * seed
    appearance = replace(vendor_b(), width=plan.width, height=plan.height)
    sets = []
    for begin, number in ((first, plan.patients), (first + FROZEN_SEEDS, plan.frozen)):
        cases = write_phantom_patients(
            folder,
            seeds=range(begin, begin + number),
            appearance=appearance,
            positive=POSITIVE,
            patient_secret=PHANTOM_SECRET,
            progress=progress,
        )
        sets.append(cases[:: 4 // plan.views])
    name = f"phantoms of {appearance.name}, {plan.width} x {plan.height}"
    return Material(name, *sets)


def inserted(backgrounds: Path, plan: Plan, seed: int, folder: Path, *, spacing_mm: float) -> Material:
    """Insert clusters into the images of a folder, once each and in a film look; the last quarter is frozen.

    Args:
        backgrounds: folder of normal mammograms, PNG; each is taken for one patient.
        spacing_mm: of the backgrounds.
    """
    number = FIRST_SEED + 1000 * seed
    cases = second_look.inserted(backgrounds, folder, spacing_mm=spacing_mm, seed=number)
    split = round(0.75 * len(cases))
    name = f"clusters in {len(cases)} real backgrounds, film look"
    return Material(name, cases[:split][: plan.patients], cases[split:])
