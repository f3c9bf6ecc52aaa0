"""Case sets: the cases of a dataset version's folds, or of phantom patients, with their provenance."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mammo import phantom
from mammo.errors import InvalidSettings
from mammo.phantom import Appearance
from mammo.runs import require_trainable
from mammo.site import Site
from training.cases import Case, Progress
from training.datasets.folds import Fold
from training.datasets.versions import find_dataset_version, open_dataset_version
from training.phantom_cases import (
    PHANTOM_SECRET,
    POSITIVE,
    Traits,
    read_phantom_traits,
    training_facts,
    write_phantom_patients,
)

PHANTOMS = "phantoms"
"""Subfolder of a work folder for phantoms; it has one folder per vendor."""


@dataclass(frozen=True, kw_only=True)
class CaseSet:
    """Cases and their provenance."""

    name: str
    """For reports: `phantoms of vendor_a, seeds 7000-7039`."""

    cases: list[Case]
    traits: dict[str, tuple[Traits, ...]] = field(default_factory=dict)
    """Traits of the clusters by the SHA-256 of their image; only for phantoms."""

    appearance: str | None = None
    """Vendor of phantoms, such as `vendor_a`; None for a dataset version."""

    seeds: range = range(0)
    """Seeds of phantom patients."""

    @property
    def facts(self) -> dict[str, Any]:
        """Facts for weights that are trained on these cases; see `trained_on_warning`."""
        return training_facts(self.appearance, self.seeds) if self.appearance else {}


def trained_on_warning(facts: Mapping[str, Any], cases: CaseSet) -> str | None:
    """Return a warning if weights were trained on some of the phantom patients in a case set.

    Args:
        facts: of the weights; see `CaseSet.facts`.

    Returns:
        One sentence, or None. The folds of a dataset version never share patients.
    """
    trained = facts.get("phantoms") or {}
    shared = set(cases.seeds) & set(range(*trained.get("train_seeds", (0, 0))))
    if not shared or trained.get("appearance") != cases.appearance:
        return None
    return (
        f"these weights were trained on {len(shared)} of the {len(cases.seeds)} phantom patients "
        f"(seeds {min(shared)} to {max(shared)}), so the figures are too good; use other seeds, such as 7000-7039"
    )


def phantom_appearance(vendor: str) -> Appearance:
    """Return the appearance of vendor `a`, `b` or `c`.

    Raises:
        InvalidSettings: unknown vendor.
    """
    vendors = {"a": phantom.vendor_a, "b": phantom.vendor_b, "c": phantom.vendor_c}
    if vendor not in vendors:
        raise InvalidSettings(f"a phantom's vendor is one of {', '.join(vendors)}; got {vendor!r}")
    return vendors[vendor]()


def phantom_case_set(seeds: range, *, vendor: str, work: Path, progress: Progress) -> CaseSet:
    """Return the cases of phantom patients, which are drawn into `work` unless they are there.

    Raises:
        InvalidSettings: unknown vendor.
    """
    appearance = phantom_appearance(vendor)
    folder = work / PHANTOMS / appearance.name
    cases = write_phantom_patients(
        folder,
        seeds=seeds,
        appearance=appearance,
        positive=POSITIVE,
        patient_secret=PHANTOM_SECRET,
        progress=progress,
    )
    return CaseSet(
        name=f"phantoms of {appearance.name}, seeds {seeds.start}-{seeds.stop - 1}",
        cases=cases,
        traits=read_phantom_traits(folder),
        appearance=appearance.name,
        seeds=seeds,
    )


@contextmanager
def dataset_case_sets(name: str, *folds: Fold) -> Iterator[list[CaseSet]]:
    """Yield the given folds of a dataset version. Their images can be read during the block.

    Args:
        name: of the dataset version, or its beginning.

    Raises:
        ModelNotFound: no such dataset version.
        NeverTrainedFrom: the fold `train` was asked for, of a project that no model may learn from.
    """
    with Site.load() as site:
        dataset = open_dataset_version(find_dataset_version(name, engine=site.engine), blobs=site.blobs)
        if "train" in folds:
            require_trainable(dataset.project, engine=site.engine)
        yield [
            CaseSet(
                name=f"dataset version {name[:12]}, fold {fold}",
                cases=dataset.cases(fold, open_image=site.images.open),
            )
            for fold in folds
        ]
