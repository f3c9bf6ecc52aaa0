"""What `train` and `evaluate` work on: the cases of a dataset version, or phantoms by their seeds."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from mammo.errors import Cancelled, InvalidSettings
from mammo.settings import Settings

if TYPE_CHECKING:
    from training.cases import Case
    from training.cases import Progress as Tell
    from training.folds import Fold
    from training.phantom_cases import Traits

PHANTOM_SECRET = b"phantoms have no secrets"
"""Phantom patients are nobody; their keys only have to be the same each time."""

POSITIVE = 0.85
"""Probability that a phantom's breast has clusters."""

PHANTOMS = "phantoms"
"""Folder below a work folder that phantoms are drawn into, a folder for each vendor."""


@dataclass(frozen=True, kw_only=True)
class Material:
    """Cases and where they come from."""

    name: str
    """For a report: `phantoms of vendor_a, seeds 7000-7039`."""

    cases: list[Case]
    traits: dict[str, tuple[Traits, ...]] = field(default_factory=dict)
    """SHA-256 of an image to what the generator knows of its clusters; only for phantoms."""


def parse_seeds(text: str) -> range:
    """`7000-7039` or `7000`.

    Raises:
        InvalidSettings: anything else.
    """
    found = re.fullmatch(r"(\d{1,7})(?:-(\d{1,7}))?", text.strip())
    if not found or int(found[2] or found[1]) < int(found[1]):
        raise InvalidSettings(f"seeds are given as FIRST-LAST, such as 7000-7039; got {text!r}")
    return range(int(found[1]), int(found[2] or found[1]) + 1)


def phantom_material(seeds: range, *, vendor: str, work: Path, tell: Tell) -> Material:
    """Phantom patients, drawn into `work` where they are not there yet.

    Raises:
        InvalidSettings: no such vendor.
    """
    from mammo.phantom import vendor_a, vendor_b, vendor_c
    from training.phantom_cases import read_phantom_traits, write_phantom_patients

    looks = {"a": vendor_a, "b": vendor_b, "c": vendor_c}
    if vendor not in looks:
        raise InvalidSettings(f"a phantom's vendor is one of {', '.join(looks)}; got {vendor!r}")
    look = looks[vendor]()
    folder = work / PHANTOMS / look.name
    cases = write_phantom_patients(
        folder, seeds=seeds, appearance=look, positive=POSITIVE, patient_secret=PHANTOM_SECRET, progress=tell
    )
    name = f"phantoms of {look.name}, seeds {seeds.start}-{seeds.stop - 1}"
    return Material(name=name, cases=cases, traits=read_phantom_traits(folder))


@contextmanager
def dataset_material(name: str, *folds: Fold) -> Iterator[list[Material]]:
    """The folds of a dataset version; its images can be read while the context lasts.

    Raises:
        ModelNotFound: no such dataset version.
    """
    from mammo.blobs import Blobs
    from training.dataset_versions import find_dataset_version, open_dataset_version
    from worker.services import Services

    settings = Settings.load()
    with closing(Services(settings)) as services:
        whole = find_dataset_version(name, engine=services.engine)
        dataset = open_dataset_version(whole, blobs=Blobs(settings.blobs))
        yield [
            Material(
                name=f"dataset version {name[:12]}, fold {fold}",
                cases=dataset.cases(fold, open_image=services.images.open),
            )
            for fold in folds
        ]


@contextmanager
def shown_progress(what: str) -> Iterator[Tell]:
    """A bar on the terminal; Ctrl-C becomes a sentence that says how to go on."""
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    with Progress(*columns, TextColumn("{task.fields[message]}"), console=Console(stderr=True)) as bars:
        bar = bars.add_task(what, total=1.0, message="")
        try:
            yield lambda fraction, message: bars.update(bar, completed=fraction, message=message)
        except KeyboardInterrupt:
            raise Cancelled("stopped; the same command goes on where this one was") from None
