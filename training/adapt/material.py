"""Material: the cases of an adaptation, drawn from its backgrounds in their own look."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mammo.backgrounds import Background
from training.adapt.images import Images
from training.adapt.recipes import AdaptRecipe
from training.cases import Case, Progress, portion
from training.insertion.material import MaterialPlan, write_material
from training.retrain.steps import Folds

MAX_PROCESSES = 4
"""Processes that draw; each holds a few images of full size."""


@dataclass(frozen=True, kw_only=True)
class HeldOut:
    """The held-out backgrounds of an adaptation as cases."""

    untouched: list[Case]
    inserted: list[Case]
    """Copies with inserted clusters."""

    background_of: dict[str, str]
    """`Case.image` of a copy -> that of its background."""


def draw_cases(
    images: Images, recipe: AdaptRecipe, *, folder: Path, progress: Progress
) -> tuple[Folds, HeldOut]:
    """Draw all cases into a folder, unless an earlier call has drawn them.

    The untouched backgrounds are training cases too: normal ones.

    Args:
        folder: receives pixels of patients; the caller removes it.
    """
    counts = (recipe.copies, recipe.copies, recipe.held_out_copies)
    parts = (images.train, images.validation, images.held_out)
    total = sum(count * len(part) for count, part in zip(counts, parts, strict=True))
    drawn: list[list[Case]] = []
    done = 0
    for count, part in zip(counts, parts, strict=True):
        share = portion(progress, done / total, (done + count * len(part)) / total)
        drawn.append(_draw(part, count, folder=folder, seed=recipe.seed, progress=share))
        done += count * len(part)
    train, validation, inserted = drawn
    background_of = {
        copy.image: images.held_out[number // recipe.held_out_copies].sha256
        for number, copy in enumerate(inserted)
    }
    untouched = [untouched_case(background) for background in images.held_out]
    normal = [untouched_case(background) for background in images.train]
    return (
        Folds(train=[*train, *normal], validation=validation, test=[]),
        HeldOut(untouched=untouched, inserted=inserted, background_of=background_of),
    )


def untouched_case(background: Background) -> Case:
    """A background as it is, as a case without a cluster."""
    return Case(
        image=background.sha256,
        patient=background.patient,
        read=background.read,
        truth=(),
        uncertain=background.avoid,
    )


def _draw(
    backgrounds: Sequence[Background], copies: int, *, folder: Path, seed: int, progress: Progress
) -> list[Case]:
    """The copies of each background, background by background."""
    plan = MaterialPlan(
        phantoms=0, film_phantoms=0, digital_copies=0, film_copies=0, own_copies=copies, seed=seed
    )
    processes = min(MAX_PROCESSES, os.cpu_count() or 1, max(1, copies * len(backgrounds) // 16))
    return write_material(folder, plan, backgrounds, processes=processes, progress=progress)
