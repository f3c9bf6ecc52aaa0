"""Training material: randomised phantoms, and backgrounds with inserted clusters, in digital, film and own looks.

Every image is a function of the plan's seed and its own number, so images are drawn in several processes, in any order,
and a stopped call is continued.

    <name>.npy     pixels, H x W uint16: grey level = stored / 65535
    <name>.json    spacing, patient and truth; written last
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from mammo.atomic_files import replacing
from mammo.detector.normalise import find_breast
from mammo.dicom import Mammogram
from mammo.findings import CLUSTER, Finding
from mammo.geometry import Box, Spacing
from mammo.masks import Mask, union
from mammo.phantom.randomised import randomised_view
from mammo.pixels import Pixels, size_of
from training.cases import Case, Progress
from training.insertion.insertion import InsertionPlan, insert
from training.insertion.looks import Look, Medium, digitise, expose, sample_look, sample_own_look

GENERATION = 1
"""Version of the pixels of a seed."""

FULL = 65535
MARGIN = 64
"""Air kept around the breast of a background, in pixels."""

BLUR_MM: Mapping[Medium, tuple[float, float]] = {
    "digital": (0.03, 0.1),
    "film": (0.06, 0.16),
    "own": (0.03, 0.16),
}
"""Range of the detector's point spread, which blurs inserted clusters; that of a site's own images is unknown."""

NORMAL_SHARE = 0.2
"""Share of the images without a cluster."""


@dataclass(frozen=True, kw_only=True)
class MaterialPlan:
    """How many images of which kind."""

    phantoms: int
    film_phantoms: int
    digital_copies: int
    """Images of each background in digital looks."""

    film_copies: int
    """Images of each background in film looks."""

    lesions: bool = True
    """Whether clusters and benign structures are inserted. False: backgrounds only in other looks, phantoms without a
    cluster."""

    seed: int

    own_copies: int = 0
    """Images of each background in its own look."""


class InsertionBackground(Protocol):
    """An image into which clusters are inserted: a `Background`, or a corrected image."""

    @property
    def sha256(self) -> str: ...

    @property
    def patient(self) -> str: ...

    @property
    def avoid(self) -> tuple[Box, ...]: ...

    def read(self) -> Mammogram:
        """Read the image, which has a spacing."""


@dataclass(frozen=True)
class _Item:
    """One image to draw."""

    name: str
    medium: Medium
    seed: int
    background: InsertionBackground | None
    lesions: bool


def write_material(
    folder: Path,
    plan: MaterialPlan,
    backgrounds: Sequence[InsertionBackground],
    *,
    processes: int,
    progress: Progress,
) -> list[Case]:
    """Draw the images of a plan into a folder, unless an earlier call has drawn them.

    Args:
        folder: created if missing. Not for two plans at the same time.
        backgrounds: none: phantoms only.
        processes: number of processes that draw; 1: this one.

    Returns:
        The cases; views of one woman, and the copies of one background, have the same patient.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    items = _items(plan, backgrounds)
    missing = [item for item in items if not (folder / f"{item.name}.json").is_file()]
    for done, _ in enumerate(_drawn(partial(_draw, folder), missing, processes=processes), start=1):
        progress(done / len(missing), f"drawing image {done} of {len(missing)}")
    return [_case(folder, item.name) for item in items]


def _drawn(draw: Callable[[_Item], None], items: Sequence[_Item], *, processes: int) -> Iterator[None]:
    """Draw items in processes of their own, or in this one if `processes` is 1."""
    if processes == 1 or not items:
        yield from map(draw, items)
        return
    # Not forked: a fork of a process whose OpenMP has threads may hang.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(max_workers=processes, mp_context=context) as pool:
        yield from pool.map(draw, items)


def _items(plan: MaterialPlan, backgrounds: Sequence[InsertionBackground]) -> list[_Item]:
    kinds: list[tuple[str, Medium, int, int]] = [
        ("phantom", "digital", 0, plan.phantoms),
        ("film-phantom", "film", plan.phantoms, plan.film_phantoms),
    ]
    key = f"{GENERATION}-{plan.seed}" + ("" if plan.lesions else "-normal")
    items = [
        _Item(f"{kind}-{key}-{number}", medium, plan.seed + first + number, None, plan.lesions)
        for kind, medium, first, count in kinds
        for number in range(count)
    ]
    copies: list[tuple[Medium, int]] = [
        ("digital", plan.digital_copies),
        ("film", plan.film_copies),
        ("own", plan.own_copies),
    ]
    for background in backgrounds:
        for medium, count in copies:
            stem = f"{medium}-{key}-{background.sha256[:12]}"
            items += [
                _Item(f"{stem}-{n}", medium, plan.seed + n, background, plan.lesions) for n in range(count)
            ]
    return items


@dataclass(frozen=True, eq=False)
class _Image:
    """One drawn image."""

    pixels: Pixels
    spacing_mm: float
    patient: str
    truth: Sequence[Mask]
    calcifications: Sequence[Mask]
    uncertain: Sequence[Box] = ()


def _draw(folder: Path, item: _Item) -> None:
    image = _phantom(item) if item.background is None else _inserted(item, item.background)
    np.save(folder / f"{item.name}.npy", np.rint(image.pixels * FULL).astype(np.uint16), allow_pickle=False)
    size = size_of(image.pixels)
    specks = union(image.calcifications)
    entry = {
        "spacing_mm": image.spacing_mm,
        "patient": image.patient,
        "truth": [mask.to_coco(size) for mask in image.truth],
        "calcifications": specks.to_coco(size) if specks else None,
        "uncertain": [box.as_tuple() for box in image.uncertain],
    }
    with replacing(folder / f"{item.name}.json") as part:
        part.write_text(json.dumps(entry))


def _phantom(item: _Item) -> _Image:
    """A randomised phantom; on film, taken again with a film look."""
    rng = np.random.default_rng([item.seed, 41])
    clusters = _num_clusters(rng) if item.lesions else 0
    view = randomised_view(item.seed, clusters=clusters)
    pixels = view.stored.astype(np.float32) / np.float32(2**view.bits - 1)
    truth = [finding.mask for finding in view.truth if finding.mask]
    drawn = _Image(pixels, view.spacing_mm, f"randomised-{item.seed}", truth, view.calcifications)
    if item.medium == "digital":
        return drawn
    look = sample_look(rng, medium="film", spacing_mm=view.spacing_mm)
    return _taken_again(drawn, look, rng)


def _num_clusters(rng: np.random.Generator) -> int:
    return 0 if rng.random() < NORMAL_SHARE else int(rng.integers(1, 4))


def _taken_again(image: _Image, look: Look, rng: np.random.Generator) -> _Image:
    """A phantom with another look; its masks are resampled with it."""
    exposed = expose(image.pixels, look, spacing_mm=image.spacing_mm, rng=rng)
    size = size_of(image.pixels)

    def moved(mask: Mask) -> Mask | None:
        full = look.placed(mask.full(size).astype(np.float32), spacing_mm=image.spacing_mm)
        return Mask.from_full(full >= min(0.5, 0.5 * float(full.max()))) if full.any() else None

    return _Image(
        digitise(exposed, look),
        look.spacing_mm,
        image.patient,
        [mask for each in image.truth if (mask := moved(each))],
        (),
    )


def _inserted(item: _Item, background: InsertionBackground) -> _Image:
    """A background with another look and inserted lesions."""
    mammogram = background.read()
    assert mammogram.spacing is not None, "a background has a spacing"
    spacing_mm = mammogram.spacing.mean_mm
    rng = np.random.default_rng([item.seed, 43, int(background.sha256[:8], 16)])
    frame = find_breast(mammogram.pixels).box.dilated(MARGIN).within(mammogram.size)
    if item.medium == "own":
        look = sample_own_look(rng, spacing_mm=spacing_mm, depth=mammogram.depth)
    else:
        look = sample_look(rng, medium=item.medium, spacing_mm=spacing_mm)
    exposed = expose(
        np.ascontiguousarray(mammogram.pixels[frame.slices]), look, spacing_mm=spacing_mm, rng=rng
    )
    avoid = [
        look.placed_box(common.shifted(-frame.x0, -frame.y0), frame, spacing_mm=spacing_mm)
        for box in background.avoid
        if (common := box.intersection(frame))
    ]
    film = item.medium == "film"
    plan = InsertionPlan(
        clusters=_num_clusters(rng) if item.lesions else 0,
        benign=int(rng.integers(0, 6)) if item.lesions else 0,
        blur_mm=float(rng.uniform(*BLUR_MM[item.medium])),
        sharpening=look.sharpening,
        film=film,
    )
    inserted = insert(exposed, plan, spacing_mm=look.spacing_mm, rng=rng, avoid=avoid)
    return _Image(
        digitise(inserted.pixels, look),
        look.spacing_mm,
        background.patient,
        [finding.mask for finding in inserted.truth if finding.mask],
        inserted.calcifications,
        avoid,
    )


def _case(folder: Path, name: str) -> Case:
    entry = json.loads((folder / f"{name}.json").read_bytes())
    truth = []
    for index, item in enumerate(entry["truth"]):
        mask = Mask.from_coco(item)
        assert mask is not None, "a drawn cluster has pixels"
        truth.append(Finding(label=CLUSTER, score=1.0, box=mask.frame, mask=mask, id=f"truth-{index}"))
    specks = Mask.from_coco(entry["calcifications"]) if entry["calcifications"] else None
    # The name holds the generation, the seed and the background: it identifies the pixels.
    identity = hashlib.sha256(name.encode()).hexdigest()
    return Case(
        image=identity,
        patient=entry["patient"],
        read=partial(_read, folder / f"{name}.npy", identity, entry),
        truth=tuple(truth),
        uncertain=tuple(Box(*box) for box in entry["uncertain"]),
        calcifications=tuple(specks.components()) if specks else (),
    )


def _read(path: Path, identity: str, entry: dict[str, Any]) -> Mammogram:
    stored = np.load(path, allow_pickle=False)
    return Mammogram(
        pixels=stored.astype(np.float32) / np.float32(FULL),
        spacing=Spacing(entry["spacing_mm"], entry["spacing_mm"], "given"),
        laterality=None,
        view=None,
        patient=entry["patient"],
        sha256=identity,
        depth=16,
    )
