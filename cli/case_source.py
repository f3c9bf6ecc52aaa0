"""CaseSource: the options that name the cases of `train` and `evaluate`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mammo.errors import InvalidSettings

if TYPE_CHECKING:
    from training.case_sets import CaseSet
    from training.cases import Progress
    from training.datasets.folds import Fold


@dataclass(frozen=True, kw_only=True)
class CaseSource:
    """A dataset version, or phantom patients by their seeds."""

    dataset: str | None
    """Name of a dataset version."""

    phantoms: str | None
    """Seeds as FIRST-LAST."""

    vendor: str
    """Appearance of the phantoms: a, b or c."""

    work: Path
    """Folder for phantoms and for files cut from images."""

    @contextmanager
    def open(
        self, folds: Sequence[Fold], *, seeds: Sequence[str | None] = (), progress: Progress
    ) -> Iterator[list[CaseSet]]:
        """Yield a case set for each fold of the dataset version, or for `phantoms` and each of `seeds`.

        Args:
            seeds: further phantom patients, as FIRST-LAST; None gives an empty case set.

        Raises:
            InvalidSettings: neither or both sources are named, or seeds cannot be parsed or share patients.
        """
        from training.case_sets import CaseSet, dataset_case_sets, phantom_case_set

        if (self.dataset is None) == (self.phantoms is None):
            raise InvalidSettings("give either --dataset NAME or --phantoms FIRST-LAST")
        if self.dataset is not None:
            with dataset_case_sets(self.dataset, *folds) as case_sets:
                yield case_sets
            return
        texts = (self.phantoms, *seeds)
        ranges = [parse_seeds(text) if text else range(0) for text in texts]
        if len(set().union(*ranges)) < sum(map(len, ranges)):
            raise InvalidSettings(
                f"the seeds {', '.join(filter(None, texts))} share patients; training, validation and test need "
                "patients of their own"
            )
        yield [
            phantom_case_set(each, vendor=self.vendor, work=self.work, progress=progress)
            if each
            else CaseSet(name="no cases", cases=[])
            for each in ranges
        ]


def parse_seeds(text: str) -> range:
    """Parse `7000-7039` or `7000`.

    Raises:
        InvalidSettings: anything else.
    """
    match = re.fullmatch(r"(\d{1,7})(?:-(\d{1,7}))?", text.strip())
    if not match or int(match[2] or match[1]) < int(match[1]):
        raise InvalidSettings(f"seeds are given as FIRST-LAST, such as 7000-7039; got {text!r}")
    return range(int(match[1]), int(match[2] or match[1]) + 1)
