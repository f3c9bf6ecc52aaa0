"""Found studies: the images that a search finds, by study, for people who choose."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

from mammo.pacs.query import FoundImage


@dataclass(frozen=True, kw_only=True)
class FoundStudy:
    """One study of the PACS. Identifies a patient."""

    study: str = field(repr=False)
    """Study Instance UID."""

    day: str = field(repr=False)
    """YYYYMMDD, or empty."""

    patient: str = field(repr=False)
    accession: str = field(repr=False)
    is_prior: bool
    views: tuple[str, ...]
    """Laterality and view of each image that would be imported, such as `LCC`; `?` where the PACS states neither."""

    left_out: dict[str, int]
    """Reason -> number of images that are not imported."""

    def to_json(self) -> dict[str, Any]:
        return {**vars(self), "views": list(self.views)}


def by_study(images: Iterable[FoundImage]) -> list[FoundStudy]:
    """Return the studies of images, in their order.

    Args:
        images: as `mammo.pacs.query.find` yields them: those of a study together.
    """
    found = []
    for study, members in groupby(images, key=lambda each: each.study):
        of_study = list(members)
        first = of_study[0]
        views = (f"{each.laterality}{each.view}" or "?" for each in of_study if not each.skipped)
        found.append(
            FoundStudy(
                study=study,
                day=first.day,
                patient=first.patient,
                accession=first.accession,
                is_prior=first.is_prior,
                views=tuple(views),
                left_out=dict(Counter(each.skipped for each in of_study if each.skipped)),
            )
        )
    return found
