"""What `train` and `evaluate` work on: the cases of a dataset version, or phantoms by their seeds."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from mammo.errors import Cancelled, InvalidSettings

if TYPE_CHECKING:
    from mammo.phantom import Appearance
    from training.cases import Case
    from training.cases import Progress as Tell
    from training.datasets.folds import Fold
    from training.phantom_cases import Traits

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

    look: str | None = None
    """Vendor of phantoms, such as `vendor_a`; None for a dataset version."""

    seeds: range = range(0)
    """Of phantom patients."""


def trained_on_warning(facts: Mapping[str, Any], material: Material) -> str | None:
    """What to say where the facts of a weights file tell that it was trained on some of these phantom patients.

    Returns:
        One sentence; None where the facts tell of no such patient. A dataset version's folds never share patients.
    """
    known = facts.get("phantoms") or {}
    shared = set(material.seeds) & set(range(*known.get("train_seeds", (0, 0))))
    if not shared or known.get("appearance") != material.look:
        return None
    return (
        f"these weights were trained on {len(shared)} of the {len(material.seeds)} phantom patients "
        f"(seeds {min(shared)} to {max(shared)}): the figures are too good; take other seeds, such as 7000-7039"
    )


def parse_seeds(text: str) -> range:
    """`7000-7039` or `7000`.

    Raises:
        InvalidSettings: anything else.
    """
    found = re.fullmatch(r"(\d{1,7})(?:-(\d{1,7}))?", text.strip())
    if not found or int(found[2] or found[1]) < int(found[1]):
        raise InvalidSettings(f"seeds are given as FIRST-LAST, such as 7000-7039; got {text!r}")
    return range(int(found[1]), int(found[2] or found[1]) + 1)


def phantom_look(vendor: str) -> Appearance:
    """Of `a`, `b` or `c`.

    Raises:
        InvalidSettings: no such vendor.
    """
    from mammo.phantom import vendor_a, vendor_b, vendor_c

    looks = {"a": vendor_a, "b": vendor_b, "c": vendor_c}
    if vendor not in looks:
        raise InvalidSettings(f"a phantom's vendor is one of {', '.join(looks)}; got {vendor!r}")
    return looks[vendor]()


@dataclass(frozen=True, kw_only=True)
class Source:
    """Where the cases come from: a dataset version, or phantoms by their seeds."""

    dataset: str | None
    phantoms: str | None
    vendor: str
    work: Path
    """Folder for phantoms and cut regions."""


def source_material(
    source: Source,
    stack: ExitStack,
    tell: Tell,
    *,
    folds: Sequence[Fold] = ("test",),
    seeds: Sequence[str] = (),
) -> list[Material]:
    """Materials that share no patient: the folds of the dataset version, or the phantoms.

    Args:
        stack: keeps the images readable until it is closed.
        folds: of a dataset version, one material each.
        seeds: of further phantom patients, as FIRST-LAST, one material each.

    Raises:
        InvalidSettings: neither or both of dataset version and phantoms, or seeds that share patients.
    """
    if (source.dataset is None) == (source.phantoms is None):
        raise InvalidSettings("give either --dataset NAME or --phantoms FIRST-LAST")
    if source.dataset is not None:
        return stack.enter_context(dataset_material(source.dataset, *folds))
    assert source.phantoms is not None
    texts = [source.phantoms, *seeds]
    ranges = [parse_seeds(text) for text in texts]
    if len(set().union(*ranges)) < sum(map(len, ranges)):
        raise InvalidSettings(
            f"the seeds {', '.join(texts)} share patients; a test needs patients of its own"
        )
    return [phantom_material(each, vendor=source.vendor, work=source.work, tell=tell) for each in ranges]


def phantom_material(seeds: range, *, vendor: str, work: Path, tell: Tell) -> Material:
    """Phantom patients, drawn into `work` where they are not there yet.

    Raises:
        InvalidSettings: no such vendor.
    """
    from training.phantom_cases import PHANTOM_SECRET, POSITIVE, read_phantom_traits, write_phantom_patients

    look = phantom_look(vendor)
    folder = work / PHANTOMS / look.name
    cases = write_phantom_patients(
        folder, seeds=seeds, appearance=look, positive=POSITIVE, patient_secret=PHANTOM_SECRET, progress=tell
    )
    name = f"phantoms of {look.name}, seeds {seeds.start}-{seeds.stop - 1}"
    traits = read_phantom_traits(folder)
    return Material(name=name, cases=cases, traits=traits, look=look.name, seeds=seeds)


@contextmanager
def dataset_material(name: str, *folds: Fold) -> Iterator[list[Material]]:
    """The folds of a dataset version; its images can be read while the context lasts.

    Raises:
        ModelNotFound: no such dataset version.
        NeverTrainedFrom: the fold `train` of a project from which no model may learn.
    """
    from mammo.runs import require_trainable
    from mammo.site import Site
    from training.datasets.versions import find_dataset_version, open_dataset_version

    with Site.load() as site:
        whole = find_dataset_version(name, engine=site.engine)
        dataset = open_dataset_version(whole, blobs=site.blobs)
        if "train" in folds:
            require_trainable(dataset.project, engine=site.engine)
        yield [
            Material(
                name=f"dataset version {name[:12]}, fold {fold}",
                cases=dataset.cases(fold, open_image=site.images.open),
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
