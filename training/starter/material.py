"""The starter's material: phantoms, and public backgrounds with inserted clusters.

Only backgrounds whose licence lets weights leave the site are used. Women are held out, not images: the backgrounds of
`HELD_OUT` are never trained on.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from mammo.backgrounds import Background, BackgroundSet
from mammo.errors import InvalidBackgrounds
from training.cases import Case, Progress
from training.insertion.material import MaterialPlan, write_material

SETS = ("monai", "birads")
"""Background sets of the recipe; see `yolo-mlsam backgrounds`."""

HELD_OUT = frozenset({"monai-A3", "monai-C4", "monai-D3"})
"""Women whose images are for the operating point and the evaluation."""

Fold = Literal["train", "mined", "validation", "normal", "test"]

PLANS: dict[Fold, MaterialPlan] = {
    "train": MaterialPlan(phantoms=240, film_phantoms=160, digital_copies=10, film_copies=16, seed=100_000),
    "mined": MaterialPlan(phantoms=240, film_phantoms=160, digital_copies=10, film_copies=16, seed=200_000),
    "validation": MaterialPlan(phantoms=24, film_phantoms=16, digital_copies=0, film_copies=0, seed=130_000),
    "normal": MaterialPlan(
        phantoms=0, film_phantoms=0, digital_copies=8, film_copies=8, lesions=False, seed=110_000
    ),
    "test": MaterialPlan(phantoms=0, film_phantoms=0, digital_copies=16, film_copies=16, seed=120_000),
}
"""Their seeds are those of no other phantoms. `train` and `mined` are for the two stages of the detector's training.
The segmenter trains on `train` and chooses its checkpoint on `validation`, phantoms only. `normal` is for the operating
point."""


@dataclass(frozen=True)
class StarterMaterial:
    """Draws the images of the folds into a folder."""

    folder: Path
    backgrounds: tuple[Background, ...]
    smoke: bool
    progress: Progress

    @classmethod
    def of(
        cls, sets: Sequence[BackgroundSet], folder: Path, *, smoke: bool, progress: Progress
    ) -> StarterMaterial:
        """Check the sets and collect their images.

        Raises:
            InvalidBackgrounds: a set may not go into weights that leave the site (code `may_not_ship`).
        """
        private = [each.name for each in sets if not each.may_ship]
        if private:
            raise InvalidBackgrounds(
                f"the backgrounds {', '.join(private)} may not go into weights that leave this site; train the "
                f"starter on {' and '.join(SETS)} only, and use the others with `yolo-mlsam adapt`",
                code="may_not_ship",
            )
        images = tuple(image for each in sets for image in each.backgrounds)
        return cls(folder, images, smoke, progress)

    def cases(self, fold: Fold) -> list[Case]:
        """Draw the images of a fold, unless an earlier call has drawn them."""
        chosen = [
            each for each in self.backgrounds if (each.patient in HELD_OUT) == (fold in ("normal", "test"))
        ]
        plan = _smallest(PLANS[fold]) if self.smoke else PLANS[fold]
        return write_material(
            self.folder / fold,
            plan,
            chosen,
            processes=1 if self.smoke else os.cpu_count() or 1,
            progress=self.progress,
        )

    def describe(self, network: Literal["detector", "segmenter"]) -> str:
        """What a network is trained on, for the manifest: the detector on `train` and `mined`, the segmenter on
        `train`."""
        plan = PLANS["train"]
        women = {each.patient for each in self.backgrounds} - HELD_OUT
        twice, seeds = "", f"{plan.seed}"
        if network == "detector":
            twice, seeds = "twice ", f"{plan.seed} and {PLANS['mined'].seed}"
        return (
            f"{twice}{plan.phantoms} randomised phantoms and {plan.film_phantoms} with a film look, seeds from "
            f"{seeds}; clusters inserted into the backgrounds of {len(women)} women ({', '.join(SETS)}), "
            f"{twice}{plan.digital_copies} digital and {plan.film_copies} film looks of each"
        )


def _smallest(plan: MaterialPlan) -> MaterialPlan:
    """At most one image of each kind."""
    return replace(
        plan,
        phantoms=min(plan.phantoms, 1),
        film_phantoms=min(plan.film_phantoms, 1),
        digital_copies=1,
        film_copies=1,
    )
