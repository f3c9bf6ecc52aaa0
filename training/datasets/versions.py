"""Dataset versions: the corrections of one moment, frozen under the SHA-256 of their manifest.

A manifest is JSON: one item per image with its patient, annotator, view, spacing, fold and findings (boxes, and the
hashes of their masks), and what was left out and why. Its hash is its name, so a dataset version never changes after
it is named, and building from the same corrections gives the same name, in whatever order they came. What the
version before holds is not read again: building costs what is new.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import orjson
import sqlalchemy as sa
import structlog
from sqlalchemy.engine import Engine

from mammo.blobs import Blobs
from mammo.database import dataset_version, reading
from mammo.dicom import Mammogram
from mammo.errors import InvalidWeights, ModelNotFound
from training.cases import Case
from training.datasets.folds import Fold
from training.datasets.items import (
    ALONE,
    READABLE,
    SCHEMA,
    Item,
    OpenImage,
    image_changed,
)
from training.datasets.sources import Excluded

log = structlog.get_logger()


@dataclass(frozen=True)
class DatasetVersion:
    """An immutable dataset."""

    name: str
    """SHA-256 of the manifest, hexadecimal."""

    project: int
    items: tuple[Item, ...]
    excluded: tuple[Excluded, ...]

    def cases(self, fold: Fold, *, open_image: OpenImage) -> list[Case]:
        """The images of one fold; each is checked against its hash when it is read.

        `Case.read` raises ImageNotFound (code `image_changed`) for an image that is another one now.
        """
        return [
            Case(
                image=item.image,
                patient=item.patient,
                read=lambda item=item: _read(item, open_image),  # type: ignore[misc]
                truth=item.truth,
                uncertain=item.uncertain,
            )
            for item in self.items
            if item.fold == fold
        ]

    def num_patients(self, fold: Fold) -> int:
        return len({item.patient for item in self.items if item.fold == fold})

    def newest_patients(self, fold: Fold, *, share: float = 0.25, least: int = 4) -> set[str]:
        """The patients of a fold whose first correction is the latest: a share of them, but at least so many."""
        first: dict[str, str] = {}
        for item in self.items:
            if item.fold == fold:
                first[item.patient] = min(item.updated_at, first.get(item.patient, item.updated_at))
        ordered = sorted(first, key=lambda patient: (first[patient], patient), reverse=True)
        return set(ordered[: max(least, round(share * len(ordered)))])

    def num_findings(self, fold: Fold) -> int:
        """Clusters that can be learned from; those that only a point marks are not counted."""
        return sum(len(item.findings) - len(item.points) for item in self.items if item.fold == fold)

    @property
    def num_alone(self) -> int:
        """Images of which neither patient nor study is known: two of one person may be on both sides of the split."""
        return sum(item.patient.startswith(ALONE) for item in self.items)

    @property
    def sources(self) -> dict[str, int]:
        """How many images each source speaks for."""
        return dict(sorted(Counter(item.source for item in self.items).items()))

    @property
    def num_unexplained(self) -> int:
        """Items of which something was drawn and nothing is left, and nothing says why: there must be none."""
        return sum(item.unexplained for item in self.items)

    @property
    def num_crumbs(self) -> int:
        """Parts of masks that were left out as too small to be meant."""
        return sum(item.crumbs for item in self.items)

    @property
    def num_deleted(self) -> int:
        """Prelabelled findings that were deleted by deleting a part of them."""
        return sum(item.deleted for item in self.items)

    @property
    def why_excluded(self) -> dict[str, int]:
        """How many corrections were left out, by code."""
        return dict(sorted(Counter(each.code for each in self.excluded).items()))


def open_dataset_version(name: str, *, blobs: Blobs) -> DatasetVersion:
    """Open a dataset version by its name.

    Raises:
        InvalidWeights: the manifest or a mask is missing or damaged (code `missing_blob` or `damaged_blob`), or an
            earlier release made it (code `old_dataset`).
    """
    manifest = orjson.loads(blobs.read(name))
    if manifest["schema"] not in READABLE:
        raise InvalidWeights(
            f"dataset version {name[:12]} has schema {manifest['schema']}, this release reads "
            f"{READABLE[0]} to {SCHEMA}; build a new one",
            code="old_dataset",
        )
    return DatasetVersion(
        name,
        manifest["project"],
        tuple(Item.from_json(item, blobs) for item in manifest["items"]),
        tuple(Excluded(**each) for each in manifest["excluded"]),
    )


def find_dataset_version(prefix: str, *, engine: Engine) -> str:
    """The whole name that begins so.

    Raises:
        ModelNotFound: none does, or several do (code `unknown_dataset`).
    """
    with reading(engine) as connection:
        names: list[str] = list(connection.scalars(sa.select(dataset_version.c.name)))
    found = [name for name in names if name.startswith(prefix)]
    if len(found) != 1 or not prefix:
        known = ", ".join(sorted(name[:12] for name in names)) or "none"
        which = "several dataset versions begin" if len(found) > 1 else "no dataset version begins"
        raise ModelNotFound(f"{which} with {prefix!r}; there are: {known}", code="unknown_dataset")
    return found[0]


def blobs_of_dataset_versions(engine: Engine, blobs: Blobs) -> set[str]:
    """SHA-256 of every manifest and mask that a dataset version needs, those of earlier releases included.

    Raises:
        InvalidWeights: a manifest is missing or damaged.
    """
    with reading(engine) as connection:
        names: list[str] = list(connection.scalars(sa.select(dataset_version.c.name)))
    found = set(names)
    for name in names:
        for item in orjson.loads(blobs.read(name))["items"]:
            found.update(each["mask"] for each in item["findings"] if isinstance(each["mask"], str))
    return found


def _read(item: Item, open_image: OpenImage) -> Mammogram:
    mammogram = open_image(item.task_data)
    if mammogram.sha256 != item.image:
        raise image_changed(item.task_id)
    return mammogram
