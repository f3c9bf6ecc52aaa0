"""Training regions: crops of mammograms, cut once per case and then used in many views and with many prompts.

There are three kinds of regions. The last two train the presence head.

    cluster          a confirmed cluster with its mask
    background       a place in the breast that resembles a cluster
    false positive   a false positive of the detector

Where a person marked only a place (`Case.uncertain`), the extent of the cluster is unknown. No prompt of a background
or a false positive reaches such a place. A cluster whose mask reaches it is left out, because the place may be a part
of that cluster which was not outlined. A cluster beside it is used, even if the region shows the place: its mask
defines the pixels of the prompted cluster, and the place is not among them.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
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
DetectBoxes = Callable[[Mammogram], Sequence[Box]]
"""Returns a detector's boxes at a low threshold, best first."""

MAX_FALSE_POSITIVES = 4
"""Maximum number of false positives per mammogram, best score first."""

BACKGROUND_MM = (4.0, 16.0)
"""Range of the sides of background boxes: that of clusters."""

SPECK_SPACING_MM = 0.5
"""Minimum distance between two specks of a region; that of the pipeline's point prompts."""

INDEX = "regions.json"
VERSION = 3
"""Version of the folder's contents; folders of older versions are cut again."""


@dataclass(frozen=True, eq=False)
class TrainingRoi:
    """A region with margins wide enough for every jittered view. Coordinates are those of the crop."""

    file: Path
    """Its pixels, H x W float32, as a `.npy` file that is mapped into memory."""

    image: str
    """SHA-256 of the mammogram."""

    patient: str
    """Patient key."""

    kind: Kind
    box: Box
    """Of the cluster's mask, or a box without a lesion."""

    mask: Mask | None
    """Of the cluster; None without a lesion."""

    spacing: Spacing | None
    """Of the pixels, if known."""

    specks: tuple[Point, ...] = ()
    """Points of the prompt rule in the box, strongest first; of a cluster only those inside the mask."""

    calcifications: Mask | None = None
    """Union of all calcifications of the cluster, if they are known."""

    def pixels(self) -> Pixels:
        """The pixels, in [0, 1], mapped into memory."""
        loaded: Pixels = np.load(self.file, mmap_mode="r", allow_pickle=False)
        return loaded


@dataclass(frozen=True)
class TrainingRegions:
    """The regions of a run."""

    train: Sequence[TrainingRoi]
    validation: Sequence[TrainingRoi] = ()
    """Of other patients; without clusters among them, the last step's weights are the result."""


def cut_rois(
    cases: Sequence[Case],
    folder: Path,
    *,
    config: MlsamConfig,
    backgrounds: int = 0,
    detect: DetectBoxes | None = None,
    progress: Progress = silent,
) -> list[TrainingRoi]:
    """Cut the regions of every case, or reuse the folder if it was cut from the same cases before.

    Findings without a mask, or with an empty one, are skipped (`num_without_mask`), and so are findings whose mask
    reaches an uncertain place (`num_at_uncertain_places`).

    Args:
        folder: receives one file per region; created if missing.
        backgrounds: number of background regions per case.
        detect: finds false positives; None: none are cut.

    Raises:
        InvalidTrainingData: a mask does not lie in its image (code `mask_size`).
    """
    parts = [
        VERSION,
        asdict(config)["input_size"],
        backgrounds,
        detect is not None,
        *map(_truth_key, cases),
    ]
    key = hashlib.sha256(json.dumps(parts).encode()).hexdigest()
    reusable = _load(folder, key)
    if reusable is not None:
        return reusable
    folder.mkdir(parents=True, exist_ok=True)
    rois: list[TrainingRoi] = []
    for number, case in enumerate(cases):
        progress(number / max(1, len(cases)), f"reading mammogram {number + 1} of {len(cases)}")
        has_mask = any(finding.mask is not None for finding in case.truth)
        if not has_mask and not backgrounds and detect is None:
            continue
        mammogram = case.read()
        rng = np.random.default_rng([int(case.image[:8], 16), 1])
        for kind, box, mask in _places(case, mammogram, rng, backgrounds=backgrounds, detect=detect):
            file = folder / f"{len(rois):05}.npy"
            rois.append(_cut(case, mammogram, kind, box, mask, file=file, config=config))
    _save(folder, key, rois)
    return rois


def read_rois(folder: Path) -> list[TrainingRoi]:
    """Read the regions that `cut_rois` wrote into a folder."""
    document = json.loads((folder / INDEX).read_bytes())
    return _regions(folder, document)


def speck_points(pixels: Pixels, box: Box, *, count: int, spacing: Spacing | None) -> list[Point]:
    """The point prompts that `mammo.pipeline` would give a box."""
    spacing = spacing or ASSUMED_SPACING
    return robust_points(
        pixels, box, count=count, spacing=spacing.pixels(SPECK_SPACING_MM), mm_per_pixel=spacing.mean_mm
    )


def training_counts(
    rois: Sequence[TrainingRoi], cases: Sequence[Case], *, config: MlsamConfig
) -> dict[str, Any]:
    """Return what a network is trained on, and what is left out, as numbers to record with its weights."""
    return {
        "num_train_patients": len({roi.patient for roi in rois}),
        "num_train_clusters": sum(roi.kind == "cluster" for roi in rois),
        "num_train_regions": dict(Counter(roi.kind for roi in rois)),
        "num_tiny": sum(roi.kind == "cluster" and is_tiny(roi, config=config) for roi in rois),
        "num_without_outline": num_without_mask(cases),
        "num_beside_a_place": num_at_uncertain_places(cases),
    }


def num_without_mask(cases: Sequence[Case]) -> int:
    """Number of findings that have no mask, or an empty one."""
    return sum(finding.mask is None or not finding.mask.area for case in cases for finding in case.truth)


def num_at_uncertain_places(cases: Sequence[Case]) -> int:
    """Number of findings whose mask reaches an uncertain place."""
    return sum(
        finding.mask is not None and _reaches(finding.mask, case.uncertain)
        for case in cases
        for finding in case.truth
    )


def is_tiny(roi: TrainingRoi, *, config: MlsamConfig) -> bool:
    """Whether a cluster is too narrow for the network's logits at the cluster level. Tiny clusters are used all the
    same."""
    size = roi.pixels().shape
    frame = roi_around(roi.box, Size(size[1], size[0]), config=config, spacing=roi.spacing)
    return min(roi.box.width, roi.box.height) < MIN_LOGITS * frame.pixels_per_logit


def _places(
    case: Case,
    mammogram: Mammogram,
    rng: np.random.Generator,
    *,
    backgrounds: int,
    detect: DetectBoxes | None,
) -> Iterator[tuple[Kind, Box, Mask | None]]:
    """The kind, box and mask of every region of a case."""
    for finding in case.truth:
        tight = finding.mask.tight() if finding.mask else None
        if tight is None:
            continue
        if tight.frame.intersection(mammogram.size.box) != tight.frame:
            raise InvalidTrainingData(
                f"image {case.image[:12]}: a mask covers {tight.frame.as_tuple()}, but the image has "
                f"{mammogram.size.width} x {mammogram.size.height} pixels; masks must be in pixels of the original "
                "image",
                code="mask_size",
            )
        if not _reaches(tight, case.uncertain):
            yield "cluster", tight.frame, tight
    if detect is not None:
        false_positives = [box for box in detect(mammogram) if _is_clear(box, case)]
        for box in false_positives[:MAX_FALSE_POSITIVES]:
            yield "false positive", box.within(mammogram.size), None
    for _ in range(backgrounds):
        background = _background(mammogram, case, rng)
        if background is not None:
            yield "background", background, None


def _reaches(mask: Mask, places: Sequence[Box]) -> bool:
    """Whether any pixel of a mask lies in any of the boxes."""
    inside = (mask.within(place) for place in places)
    return any(each is not None and each.area > 0 for each in inside)


def _is_clear(box: Box, case: Case) -> bool:
    """Whether a box overlaps no cluster, and none of its jittered prompts an uncertain place."""
    prompts = box.dilated(_margin(box))
    clear = all(box.intersection(finding.box) is None for finding in case.truth)
    return clear and all(prompts.intersection(place) is None for place in case.uncertain)


def _margin(box: Box) -> int:
    """Maximum offset of an edge of a jittered box, in pixels."""
    return int(np.ceil(JITTER * max(box.width, box.height))) + 1


def _background(mammogram: Mammogram, case: Case, rng: np.random.Generator) -> Box | None:
    """A random box in the breast, half of the time around a speck; None if 50 attempts fail."""
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
    crop = Box.centred(x, y, width=side, height=side).moved_into(mammogram.size)
    size = Size(crop.width, crop.height)
    pixels = np.ascontiguousarray(mammogram.pixels[crop.slices], dtype=np.float32)
    np.save(file, pixels)

    def in_crop(m: Mask) -> Mask:
        return Mask(m.bitmap, m.x0 - crop.x0, m.y0 - crop.y0)

    local_box = box.shifted(-crop.x0, -crop.y0)
    specks = speck_points(pixels, local_box, count=2 * MAX_POINTS, spacing=mammogram.spacing)
    if mask is not None:
        truth = in_crop(mask).full(size)
        specks = [point for point in specks if truth[point.y, point.x]]
    own = [] if mask is None else [m for m in case.calcifications if m.intersection_area(mask)]
    calcifications = union(in_crop(m) for m in own)
    return TrainingRoi(
        file=file,
        image=case.image,
        patient=case.patient,
        kind=kind,
        box=local_box,
        mask=in_crop(mask) if mask else None,
        specks=tuple(specks),
        spacing=mammogram.spacing,
        calcifications=calcifications.within(size.box) if calcifications else None,
    )


def _truth_key(case: Case) -> list[Any]:
    """All of a case that its regions depend on."""
    masks = [finding.mask for finding in case.truth] + list(case.calcifications)
    mask_keys = [
        [*m.frame.as_tuple(), hashlib.sha256(m.bitmap.tobytes()).hexdigest()[:16]] if m else None
        for m in masks
    ]
    boxes = [finding.box.as_tuple() for finding in case.truth]
    return [case.image, case.patient, boxes, mask_keys, [box.as_tuple() for box in case.uncertain]]


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
