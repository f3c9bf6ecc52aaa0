"""Dataset versions: the corrections of a project at one time, named by the SHA-256 of their manifest.

A manifest is JSON. It lists one item per image, with patient, annotator, view, spacing, fold and findings (boxes, and
the hashes of their masks), and the excluded annotations with the reason. Its hash is its name, so a dataset version
never changes after it is named, and the same corrections give the same name, in whatever order they arrived.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass

import orjson
import sqlalchemy as sa
import structlog
from sqlalchemy.engine import Connection, Engine

from mammo.blobs import Blobs
from mammo.database import dataset_version, reading
from mammo.dicom import Mammogram
from mammo.errors import InvalidWeights, ModelNotFound
from training.cases import Case
from training.datasets.folds import Fold
from training.datasets.items import LONE_IMAGE, READABLE, SCHEMA, Item, OpenImage, image_changed
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
        """The images of one fold.

        `Case.read` checks the image against its hash; it raises ImageNotFound (code `image_changed`) if it differs.
        """
        return [
            Case(
                image=item.image,
                patient=item.patient,
                read=lambda item=item: _read(item, open_image),  # type: ignore[misc]
                truth=item.truth,
                uncertain=item.uncertain,
                task=item.task_id,
                reading=_reading(item),
            )
            for item in self.items
            if item.fold == fold
        ]

    def num_images(self, fold: Fold) -> int:
        return sum(item.fold == fold for item in self.items)

    def num_patients(self, fold: Fold) -> int:
        return len({item.patient for item in self.items if item.fold == fold})

    def newest_patients(self, fold: Fold, *, share: float = 0.25, minimum: int = 4) -> set[str]:
        """The patients of a fold whose first correction is the latest: a share of all, but at least `minimum`."""
        first: dict[str, str] = {}
        for item in self.items:
            if item.fold == fold:
                first[item.patient] = min(item.updated_at, first.get(item.patient, item.updated_at))
        ordered = sorted(first, key=lambda patient: (first[patient], patient), reverse=True)
        return set(ordered[: max(minimum, round(share * len(ordered)))])

    def num_findings(self, fold: Fold) -> int:
        """Number of clusters of known extent."""
        return sum(len(item.findings) - len(item.points) for item in self.items if item.fold == fold)

    @property
    def num_alone(self) -> int:
        """Number of images whose patient and study are unknown: those of one person may be in different folds."""
        return sum(item.patient.startswith(LONE_IMAGE) for item in self.items)

    @property
    def sources(self) -> dict[str, int]:
        """Number of images, by source."""
        return dict(sorted(Counter(item.source for item in self.items).items()))

    @property
    def num_unexplained(self) -> int:
        """Number of items with `Item.unexplained`; must be 0."""
        return sum(item.unexplained for item in self.items)

    @property
    def num_crumbs(self) -> int:
        """Number of mask fragments that were dropped as too small to be intended."""
        return sum(item.crumbs for item in self.items)

    @property
    def num_deleted(self) -> int:
        """Number of prelabelled findings that were deleted by deleting a part of them."""
        return sum(item.deleted for item in self.items)

    @property
    def why_excluded(self) -> dict[str, int]:
        """Number of excluded corrections, by code."""
        return dict(sorted(Counter(each.code for each in self.excluded).items()))


def open_dataset_version(name: str, *, blobs: Blobs) -> DatasetVersion:
    """Open a dataset version by its name.

    Raises:
        InvalidWeights: the manifest or a mask is missing or damaged (code `missing_blob` or `damaged_blob`), or the
            manifest has a schema that this release does not read (code `old_dataset`).
    """
    manifest = orjson.loads(blobs.read(name))
    if manifest["schema"] not in READABLE:
        raise InvalidWeights(
            f"dataset version {name[:12]} has schema {manifest['schema']}, but this release reads "
            f"{READABLE[0]} to {SCHEMA}; build a new one",
            code="old_dataset",
        )
    return DatasetVersion(
        name,
        manifest["project"],
        tuple(Item.from_json(item, blobs) for item in manifest["items"]),
        tuple(Excluded(**each) for each in manifest["excluded"]),
    )


def newest_name(connection: Connection, project: int) -> str | None:
    """The name of a project's newest dataset version."""
    columns = dataset_version.c
    newest = (
        sa.select(columns.name).where(columns.project == project).order_by(columns.created_at.desc()).limit(1)
    )
    name: str | None = connection.scalar(newest)
    return name


def newest_dataset_version(project: int, *, engine: Engine, blobs: Blobs) -> DatasetVersion:
    """Open a project's newest dataset version; raises ModelNotFound (code `unknown_dataset`): it has none."""
    with reading(engine) as connection:
        name = newest_name(connection, project)
    if name is None:
        raise ModelNotFound(
            f"project {project} has no dataset version; `yolo-mlsam dataset build --project {project}` makes one",
            code="unknown_dataset",
        )
    return open_dataset_version(name, blobs=blobs)


def find_dataset_version(prefix: str, *, engine: Engine) -> str:
    """The name of the only dataset version that begins with a prefix.

    Raises:
        ModelNotFound: no dataset version or several begin with it (code `unknown_dataset`).
    """
    names = _names(engine)
    matches = [name for name in names if name.startswith(prefix)]
    if len(matches) != 1 or not prefix:
        existing = ", ".join(sorted(name[:12] for name in names)) or "none"
        begin = "several dataset versions begin" if len(matches) > 1 else "no dataset version begins"
        raise ModelNotFound(
            f"{begin} with {prefix!r}; existing dataset versions: {existing}", code="unknown_dataset"
        )
    return matches[0]


def blobs_of_dataset_versions(engine: Engine, blobs: Blobs) -> set[str]:
    """SHA-256 of every manifest and mask of all dataset versions, including those of earlier releases.

    Raises:
        InvalidWeights: a manifest is missing or damaged.
    """
    names = _names(engine)
    digests = set(names)
    for name in names:
        for item in orjson.loads(blobs.read(name))["items"]:
            digests.update(each["mask"] for each in item["findings"] if isinstance(each["mask"], str))
    return digests


def _names(engine: Engine) -> list[str]:
    with reading(engine) as connection:
        return list(connection.scalars(sa.select(dataset_version.c.name)))


def _read(item: Item, open_image: OpenImage) -> Mammogram:
    mammogram = open_image(item.task_data)
    if mammogram.sha256 != item.image:
        raise image_changed(item.task_id)
    return mammogram


def _reading(item: Item) -> str:
    """SHA-256 of all that an image is opened by: its spacing, as the task states it, and whether it was converted."""
    return hashlib.sha256(orjson.dumps(item.task_data, option=orjson.OPT_SORT_KEYS)).hexdigest()
