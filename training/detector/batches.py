"""Training batches of the detector: augmented tiles.

The augmentations of ultralytics work on 8-bit images. These work on the float planes, so nothing is rounded, and pixels
that they only move have exactly the values of serving. All random numbers of a tile are a function of the seed, the
epoch and the tile: the order of work, the number of processes and restarts have no effect.

    mosaic    parts of four tiles in one image (Bochkovskiy et al. 2020, YOLOv4), unscaled
    zoom      bilinear, of half of the tiles: interpolation smooths the noise, and serving never interpolates
    flips     horizontal and vertical
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from training.detector.recipes import DetectorRecipe
from training.detector.tiles import MIN_VISIBLE, TileSet

Image = npt.NDArray[np.float32]
"""H x W x 3 planes in [0, 1]."""

Boxes = npt.NDArray[np.float32]
"""N x 4: x0, y0, x1, y1 in pixels."""

SCALE = 255.0
"""The trainer of ultralytics divides images by this."""

_ZOOM_SHARE = 0.5
"""Share of the tiles that are zoomed."""

_MIN_PART = 0.25
"""Minimum part of the side of a mosaic that each tile fills."""


class Tiles(Dataset[dict[str, Any]]):
    """Tiles in the format of the trainer and the validator of ultralytics."""

    def __init__(self, tiles: TileSet, *, recipe: DetectorRecipe, augmented: bool) -> None:
        self.tiles = tiles
        self.recipe = recipe
        self.augmented = augmented
        self.rect = False  # read by the trainer
        self._epoch = torch.zeros((), dtype=torch.int64)
        self._epoch.share_memory_()  # type: ignore[no-untyped-call]  # with the loader processes

    def start_epoch(self, epoch: int) -> None:
        """Switch to the random numbers of an epoch, counted from 0."""
        self._epoch.fill_(epoch)

    def __len__(self) -> int:
        return len(self.tiles)

    def __getitem__(self, index: int) -> dict[str, Any]:
        """One image: `img` 3 x H x W float32 in [0, 255], `bboxes` N x 4 centre and size in [0, 1]."""
        epoch = int(self._epoch)
        rng = np.random.default_rng([self.recipe.seed, epoch, index])
        image, boxes = self._augmented(index, epoch, rng) if self.augmented else self._tile(index)
        height, width = image.shape[:2]
        corners = torch.from_numpy(boxes / np.array([width, height, width, height], np.float32))
        centred = torch.cat([(corners[:, :2] + corners[:, 2:]) / 2, corners[:, 2:] - corners[:, :2]], 1)
        return {
            "im_file": f"{self.tiles.tiles[index].name}.npy",
            "ori_shape": (height, width),
            "resized_shape": (height, width),
            "ratio_pad": ((1.0, 1.0), (0.0, 0.0)),
            "img": torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1))) * SCALE,
            "cls": torch.zeros(len(boxes), 1),
            "bboxes": centred,
        }

    def _tile(self, index: int) -> tuple[Image, Boxes]:
        return self.tiles.read(index), np.array(self.tiles.tiles[index].boxes, np.float32).reshape(-1, 4)

    def _augmented(self, index: int, epoch: int, rng: np.random.Generator) -> tuple[Image, Boxes]:
        recipe = self.recipe
        mosaic_probability = recipe.mosaic if epoch < recipe.epochs - recipe.close_mosaic else 0.0
        if rng.random() < mosaic_probability:
            others = rng.integers(0, len(self), 3)
            image, boxes = mosaic([self._tile(int(each)) for each in (index, *others)], rng)
        else:
            image, boxes = self._tile(index)
        if rng.random() < _ZOOM_SHARE:
            image, boxes = zoomed(image, boxes, 1 + recipe.zoom * float(rng.uniform(-1, 1)), rng)
        return flipped(image, boxes, horizontally=rng.random() < 0.5, vertically=rng.random() < 0.5)


def flipped(image: Image, boxes: Boxes, *, horizontally: bool, vertically: bool) -> tuple[Image, Boxes]:
    """Mirror an image; no pixel changes its value."""
    height, width = image.shape[:2]
    if horizontally:
        image, boxes = (
            image[:, ::-1],
            np.stack([width - boxes[:, 2], boxes[:, 1], width - boxes[:, 0], boxes[:, 3]], 1),
        )
    if vertically:
        image, boxes = (
            image[::-1],
            np.stack([boxes[:, 0], height - boxes[:, 3], boxes[:, 2], height - boxes[:, 1]], 1),
        )
    return image, boxes


def zoomed(image: Image, boxes: Boxes, factor: float, rng: np.random.Generator) -> tuple[Image, Boxes]:
    """Scale an image around a random point; pixels from outside are 0, as in `cut_tile`."""
    height, width = image.shape[:2]
    x, y = rng.uniform(0, 1, 2) * (1 - factor) * (width, height)
    matrix = np.array([[factor, 0, x], [0, factor, y]])
    moved = cv2.warpAffine(
        image, matrix, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT
    )
    return np.asarray(moved, np.float32), _clipped(boxes * np.float32(factor) + _offset(x, y), width, height)


def mosaic(images: Sequence[tuple[Image, Boxes]], rng: np.random.Generator) -> tuple[Image, Boxes]:
    """Combine random parts of four images of one size, unscaled, into an image of that size."""
    height, width = images[0][0].shape[:2]
    cut_x = int(rng.uniform(_MIN_PART, 1 - _MIN_PART) * width)
    cut_y = int(rng.uniform(_MIN_PART, 1 - _MIN_PART) * height)
    combined = np.empty_like(images[0][0])
    combined_boxes = []
    places = [
        (0, 0, cut_x, cut_y),
        (cut_x, 0, width, cut_y),
        (0, cut_y, cut_x, height),
        (cut_x, cut_y, width, height),
    ]
    for (image, boxes), (x0, y0, x1, y1) in zip(images, places, strict=True):
        left, top = _part_corner(boxes, (x1 - x0, y1 - y0), (width, height), rng)
        combined[y0:y1, x0:x1] = image[top : top + y1 - y0, left : left + x1 - x0]
        shown = _clipped(boxes - _offset(left, top), x1 - x0, y1 - y0)
        combined_boxes.append(shown + _offset(x0, y0))
    return combined, np.concatenate(combined_boxes)


def _part_corner(
    boxes: Boxes, size: tuple[int, int], whole: tuple[int, int], rng: np.random.Generator
) -> tuple[int, int]:
    """Top left corner of a random part of an image; the part contains the centre of a box if there is any."""
    limits = np.array(whole) - size
    if not len(boxes):
        return int(rng.integers(0, limits[0] + 1)), int(rng.integers(0, limits[1] + 1))
    box = boxes[int(rng.integers(len(boxes)))]
    corner = (box[:2] + box[2:]) / 2 - rng.uniform(0.25, 0.75, 2) * size
    x, y = np.clip(np.round(corner), 0, limits).astype(int)
    return int(x), int(y)


def _clipped(boxes: Boxes, width: int, height: int) -> Boxes:
    """The visible parts of the boxes, without those of which too little is visible (`MIN_VISIBLE`)."""
    limits = np.array([width, height, width, height], np.float32)
    inside = np.clip(boxes, 0, limits)
    sides, whole = inside[:, 2:] - inside[:, :2], boxes[:, 2:] - boxes[:, :2]
    clipped: Boxes = inside[sides.prod(1) > MIN_VISIBLE * np.minimum(whole.prod(1), width * height)]
    return clipped


def _offset(x: float, y: float) -> Boxes:
    """Moves a box by (x, y) when added to it."""
    return np.array([x, y, x, y], np.float32)


class _Shuffled(Sampler[int]):
    """A new order every epoch, which is a function of the seed and the epoch."""

    def __init__(self, data: Tiles) -> None:
        self.data = data

    def __len__(self) -> int:
        return len(self.data)

    def __iter__(self) -> Iterator[int]:
        rng = np.random.default_rng([self.data.recipe.seed, int(self.data._epoch)])
        return iter(rng.permutation(len(self.data)).tolist())


def make_loader(data: Tiles, *, batch: int, workers: int) -> DataLoader[dict[str, Any]]:
    """Load batches of tiles, in a new order every epoch if the tiles are augmented.

    Args:
        workers: number of loader processes; 0: load in this process.
    """
    return DataLoader(
        data,
        batch_size=min(batch, len(data)),
        sampler=_Shuffled(data) if data.augmented else None,
        num_workers=workers,
        persistent_workers=workers > 0,
        pin_memory=torch.cuda.is_available(),
        collate_fn=collate,
    )


def collate(images: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Stack images of one size; `batch_idx` is the index of each box's image."""
    batch: dict[str, Any] = {key: [each[key] for each in images] for key in images[0]}
    counts = torch.tensor([len(boxes) for boxes in batch["bboxes"]])
    return {
        **batch,
        "img": torch.stack(batch["img"]),
        "cls": torch.cat(batch["cls"]),
        "bboxes": torch.cat(batch["bboxes"]),
        "batch_idx": torch.repeat_interleave(torch.arange(len(images)), counts).float(),
    }
