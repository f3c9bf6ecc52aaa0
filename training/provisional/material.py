"""Material: copies of the corrected images with inserted clusters, in the site's own look.

Every corrected image is a background, also one with clusters: nothing is inserted near these, and in the copies they
are uncertain, because a copy is turned, mirrored and scaled and its truth is what was inserted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mammo.dicom import Mammogram
from mammo.geometry import Box
from training.cases import Case, Progress
from training.insertion.material import MaterialPlan, write_material
from training.provisional.recipes import ProvisionalRecipe

CLEARANCE = 32
"""Least distance of an inserted cluster from one that a person has marked, in pixels."""


@dataclass(frozen=True)
class CorrectedBackground:
    """A corrected image into which clusters are inserted."""

    case: Case

    @property
    def sha256(self) -> str:
        return self.case.image

    @property
    def patient(self) -> str:
        return self.case.patient

    @property
    def avoid(self) -> tuple[Box, ...]:
        marked = (*(finding.box for finding in self.case.truth), *self.case.uncertain)
        return tuple(box.dilated(CLEARANCE) for box in marked)

    def read(self) -> Mammogram:
        return self.case.read()


def draw_copies(
    cases: Sequence[Case], recipe: ProvisionalRecipe, *, folder: Path, progress: Progress
) -> list[Case]:
    """Draw copies of corrected images with inserted clusters into a folder, unless an earlier call has drawn them.

    A copy has the patient of its background, so it is left out with this patient. Images without a pixel spacing, whose
    clusters would have no size, have no copies.

    Args:
        folder: receives pixels of patients; the caller removes it.

    """
    plan = MaterialPlan(
        phantoms=0,
        film_phantoms=0,
        digital_copies=0,
        film_copies=0,
        own_copies=recipe.copies,
        seed=recipe.seed,
    )
    measured = [CorrectedBackground(case) for case in cases if case.read().spacing is not None]
    return write_material(folder, plan, measured, processes=1, progress=progress)
