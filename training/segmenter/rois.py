"""Training regions: cut once per case, then seen in many jittered views and under many prompts.

Three kinds. `cluster`: a confirmed cluster with its mask. `background`: a place in the breast that resembles a cluster
and is none. `false positive`: what the detector takes for a cluster and is none. The last two teach the presence head.

Where a person marked only a place (`Case.uncertain`), no prompt of the last two kinds reaches. A cluster is left out
when its outline comes so near that the place may be a part of it that nobody outlined. One farther away stays, though
its surroundings may show the place: a mask says which pixels belong to the prompted cluster, and those there do not.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from mammo.atomic_files import replacing
from mammo.dicom import Mammogram
from mammo.errors import InvalidTrainingData
from mammo.geometry import ASSUMED_SPACING, Box, Point, Size, Spacing
from mammo.masks import Mask, union
from mammo.pixels import Pixels
from mammo.prompts import robust_points
from mammo.segmenter.config import MlsamConfig
from mammo.segmenter.roi import MIN_LOGITS, roi_around
from training.cases import Case, Progress, silent
from training.segmenter.views import JITTER, MAX_POINTS, ZOOM

Kind = Literal["cluster", "background", "false positive"]
FindsBoxes = Callable[[Mammogram], Sequence[Box]]
"""Boxes that a detector would show, at a threshold low enough to err often."""

MAX_FALSE_POSITIVES = 4
"""Regions of one mammogram that the detector takes for clusters, at most; the most certain ones."""

BACKGROUND_MM = (4.0, 16.0)
"""Sides of background boxes: those of clusters."""

SPECK_SPACING_MM = 0.5
"""Least distance between two specks of a region; the pipeline's between two point prompts."""

INDEX = "regions.json"
VERSION = 3
"""Raised when a cut would hold something else: older folders are cut again."""


@dataclass(frozen=True, eq=False)
class TrainingRoi:
    """One place with surroundings wide enough for every jittered view; frame: the cut-out."""

    file: Path
    """Where its pixels are, H x W float32, as a `.npy` file that is read through the page cache."""

    image: str
    """SHA-256 of the mammogram."""

    patient: str
    """Patient key."""

    kind: Kind
    box: Box
    """The cluster's box, that of its mask; or the box that holds no lesion."""

    mask: Mask | None
    """The cluster's pixels; None where there is no lesion."""

    spacing: Spacing | None
    """Of the pixels, where known."""

    specks: tuple[Point, ...] = ()
    """What the prompt rule would click in the box, strongest first; of a cluster only those inside the mask."""

    calcifications: Mask | None = None
    """Every calcification of the cluster, where the truth knows them one by one."""

    def pixels(self) -> Pixels:
        """The cut-out, in [0, 1], not copied into memory."""
        loaded: Pixels = np.load(self.file, mmap_mode="r", allow_pickle=False)
        return loaded


def cut_rois(
    cases: Sequence[Case],
    folder: Path,
    *,
    config: MlsamConfig,
    backgrounds: int = 0,
    finds_boxes: FindsBoxes | None = None,
    progress: Progress = silent,
) -> list[TrainingRoi]:
    """Read every case once and keep what is around its clusters, and around places that are none.

    Findings without a mask, or with an empty one, teach no outline: `without_outline` counts them, and
    `beside_a_place` those that reach an uncertain place. A folder that was cut from the same cases before is used
    again.

    Args:
        folder: receives one file per region; created when missing.
        backgrounds: regions without a lesion per case.
        finds_boxes: also take what it finds outside the clusters.

    Raises:
        InvalidTrainingData: a mask that does not lie in its image (`code="mask_size"`).
    """
    asked = [
        VERSION,
        asdict(config)["input_size"],
        backgrounds,
        finds_boxes is not None,
        *map(_truth_of, cases),
    ]
    key = hashlib.sha256(json.dumps(asked).encode()).hexdigest()
    known = _load(folder, key)
    if known is not None:
        return known
    folder.mkdir(parents=True, exist_ok=True)
    rois: list[TrainingRoi] = []
    for number, case in enumerate(cases):
        progress(number / max(1, len(cases)), f"reading mammogram {number + 1} of {len(cases)}")
        outlined = any(finding.mask is not None for finding in case.truth)
        if not outlined and not backgrounds and finds_boxes is None:
            continue
        mammogram = case.read()
        rng = np.random.default_rng([int(case.image[:8], 16), 1])
        for kind, box, mask in _places(
            case, mammogram, rng, backgrounds=backgrounds, finds_boxes=finds_boxes
        ):
            file = folder / f"{len(rois):05}.npy"
            rois.append(_cut(case, mammogram, kind, box, mask, file=file, config=config))
    _save(folder, key, rois)
    return rois


def read_rois(folder: Path) -> list[TrainingRoi]:
    """What `cut_rois` has left in a folder, whoever did."""
    document = json.loads((folder / INDEX).read_bytes())
    return _regions(folder, document)


def speck_points(pixels: Pixels, box: Box, *, count: int, spacing: Spacing | None) -> list[Point]:
    """The point prompts that `mammo.pipeline` would give a box."""
    used = spacing or ASSUMED_SPACING
    return robust_points(
        pixels, box, count=count, spacing=used.pixels(SPECK_SPACING_MM), mm_per_pixel=used.mean_mm
    )


def without_outline(cases: Sequence[Case]) -> int:
    """Findings that have no mask, or an empty one."""
    return sum(finding.mask is None or not finding.mask.area for case in cases for finding in case.truth)


def beside_a_place(cases: Sequence[Case]) -> int:
    """Findings with a mask that are left out because it reaches an uncertain place."""
    return sum(
        finding.mask is not None and _reaches(finding.mask, case.uncertain)
        for case in cases
        for finding in case.truth
    )


def is_tiny(roi: TrainingRoi, *, config: MlsamConfig) -> bool:
    """Whether a cluster is narrower than the network can outline at the cluster level; such ones are kept."""
    size = roi.pixels().shape
    frame = roi_around(roi.box, Size(size[1], size[0]), config=config, spacing=roi.spacing)
    return min(roi.box.width, roi.box.height) < MIN_LOGITS * frame.pixels_per_logit


def _places(
    case: Case,
    mammogram: Mammogram,
    rng: np.random.Generator,
    *,
    backgrounds: int,
    finds_boxes: FindsBoxes | None,
) -> Iterator[tuple[Kind, Box, Mask | None]]:
    for finding in case.truth:
        tight = finding.mask.tight() if finding.mask else None
        if tight is None:
            continue
        if tight.frame.intersection(mammogram.size.box) != tight.frame:
            raise InvalidTrainingData(
                f"image {case.image[:12]}: a mask covers {tight.frame.as_tuple()}, the image has "
                f"{mammogram.size.width} x {mammogram.size.height} pixels; masks are in pixels of the original image",
                code="mask_size",
            )
        if not _reaches(tight, case.uncertain):
            yield "cluster", tight.frame, tight
    if finds_boxes is not None:
        wrong = [box for box in finds_boxes(mammogram) if _is_clear(box, case)]
        for box in wrong[:MAX_FALSE_POSITIVES]:
            yield "false positive", box.within(mammogram.size), None
    for _ in range(backgrounds):
        place = _background(mammogram, case, rng)
        if place is not None:
            yield "background", place, None


def _reaches(mask: Mask, places: Sequence[Box]) -> bool:
    """Whether a pixel of a mask lies in one of the boxes."""
    inside = (mask.within(place) for place in places)
    return any(each is not None and each.area > 0 for each in inside)


def _is_clear(box: Box, case: Case) -> bool:
    """Whether a box meets no cluster, and no prompt that a view makes of it an uncertain place."""
    prompts = box.dilated(_margin(box))
    clear = all(box.intersection(finding.box) is None for finding in case.truth)
    return clear and all(prompts.intersection(place) is None for place in case.uncertain)


def _margin(box: Box) -> int:
    """How far a view may move an edge of a box, in pixels."""
    return int(np.ceil(JITTER * max(box.width, box.height))) + 1


def _background(mammogram: Mammogram, case: Case, rng: np.random.Generator) -> Box | None:
    """A box in the breast, around something bright as often as not; None where the clusters leave no room."""
    spacing = mammogram.spacing or ASSUMED_SPACING
    low, high = np.log(BACKGROUND_MM)
    size = mammogram.size
    for _ in range(50):
        width, height = (
            max(8, round(np.exp(rng.uniform(low, high)) / side))
            for side in (spacing.column_mm, spacing.row_mm)
        )
        x, y = int(rng.integers(size.width)), int(rng.integers(size.height))
        box = Box.centred(x, y, width=width, height=height).moved_into(size)
        if rng.random() < 0.5:
            wide = box.dilated(max(width, height)).within(size)
            if mammogram.pixels[wide.slices].any():
                specks = speck_points(mammogram.pixels, wide, count=1, spacing=mammogram.spacing)
                if specks:
                    box = Box.centred(specks[0].x, specks[0].y, width=width, height=height).moved_into(size)
        tissue = (mammogram.pixels[box.slices] > 0).mean() > 0.9
        if tissue and _is_clear(box, case):
            return box
    return None


def _cut(
    case: Case,
    mammogram: Mammogram,
    kind: Kind,
    box: Box,
    mask: Mask | None,
    *,
    file: Path,
    config: MlsamConfig,
) -> TrainingRoi:
    widest = roi_around(box, mammogram.size, config=config, spacing=mammogram.spacing, zoom=ZOOM[1])
    x, y = box.centre
    side = widest.side + 2 * _margin(box)
    cut = Box.centred(x, y, width=side, height=side).moved_into(mammogram.size)
    pixels = np.ascontiguousarray(mammogram.pixels[cut.slices], dtype=np.float32)
    np.save(file, pixels)

    def moved(m: Mask) -> Mask:
        return Mask(m.bitmap, m.x0 - cut.x0, m.y0 - cut.y0)

    local = box.shifted(-cut.x0, -cut.y0)
    specks = speck_points(pixels, local, count=2 * MAX_POINTS, spacing=mammogram.spacing)
    if mask is not None:
        truth = moved(mask).full(Size(cut.width, cut.height))
        specks = [point for point in specks if truth[point.y, point.x]]
    inside = [] if mask is None else [m for m in case.calcifications if m.intersection_area(mask)]
    together = union(moved(m) for m in inside)
    return TrainingRoi(
        file=file,
        image=case.image,
        patient=case.patient,
        kind=kind,
        box=local,
        mask=moved(mask) if mask else None,
        specks=tuple(specks),
        spacing=mammogram.spacing,
        calcifications=together.within(Size(cut.width, cut.height).box) if together else None,
    )


def _truth_of(case: Case) -> list[Any]:
    masks = [finding.mask for finding in case.truth] + list(case.calcifications)
    marks = [
        [*m.frame.as_tuple(), hashlib.sha256(m.bitmap.tobytes()).hexdigest()[:16]] if m else None
        for m in masks
    ]
    boxes = [finding.box.as_tuple() for finding in case.truth]
    return [case.image, case.patient, boxes, marks, [box.as_tuple() for box in case.uncertain]]


def _save(folder: Path, key: str, rois: Sequence[TrainingRoi]) -> None:
    regions = []
    for roi in rois:
        height, width = roi.pixels().shape
        masks = {
            name: mask.to_coco(Size(width, height)) if mask else None
            for name, mask in (("mask", roi.mask), ("calcifications", roi.calcifications))
        }
        regions.append(
            {
                "file": roi.file.name,
                "image": roi.image,
                "patient": roi.patient,
                "kind": roi.kind,
                "box": roi.box.as_tuple(),
                "specks": [(point.x, point.y) for point in roi.specks],
                "spacing": asdict(roi.spacing) if roi.spacing else None,
                **masks,
            }
        )
    with replacing(folder / INDEX) as part:
        part.write_text(json.dumps({"key": key, "regions": regions}))


def _load(folder: Path, key: str) -> list[TrainingRoi] | None:
    path = folder / INDEX
    if not path.is_file():
        return None
    document = json.loads(path.read_bytes())
    return _regions(folder, document) if document["key"] == key else None


def _regions(folder: Path, document: dict[str, Any]) -> list[TrainingRoi]:
    return [
        TrainingRoi(
            file=folder / region["file"],
            image=region["image"],
            patient=region["patient"],
            kind=region["kind"],
            box=Box(*region["box"]),
            mask=Mask.from_coco(region["mask"]) if region["mask"] else None,
            specks=tuple(Point(x, y) for x, y in region["specks"]),
            spacing=Spacing(**region["spacing"]) if region["spacing"] else None,
            calcifications=Mask.from_coco(region["calcifications"]) if region["calcifications"] else None,
        )
        for region in document["regions"]
    ]
