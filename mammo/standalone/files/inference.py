"""Finds microcalcification clusters in a mammogram, with the networks of this folder and nothing else of ours.

    python inference.py IMAGE [--spacing MM] [--mask MASK.png]    prints the findings as JSON
    python inference.py --self-test                               compares self_test.png with expected.json

Needs numpy, opencv-python-headless, openvino and pydicom. Research use only: no medical device. README.md states how
close the answers are to the product's.
"""

from __future__ import annotations

import argparse
import json
import sys
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import openvino  # type: ignore[import-untyped]
from planes import (  # type: ignore[import-not-found]
    Array,
    Breast,
    detector_planes,
    mean_log_strength,
    read,
    region_planes,
    resample,
    specks,
)

HERE = Path(__file__).resolve().parent
MERGE = 0.5
"""Intersection over the smaller area above which two boxes are one cluster."""


@cache
def model() -> dict[str, Any]:
    """What the networks expect, and the operating point."""
    return dict(json.loads((HERE / "model.json").read_text(encoding="utf-8")))


@cache
def network(name: str) -> Any:
    """Return a network, compiled for this processor in float32."""
    settings = {"INFERENCE_PRECISION_HINT": "f32"}
    return openvino.Core().compile_model(HERE / f"{name}.xml", "CPU", settings)


def detect(pixels: Array, spacing: tuple[float, float] | None, threshold: float) -> list[Array]:
    """Return (x0, y0, x1, y1, score) of each cluster in pixels of the image, highest score first."""
    resampled, scale = resample(pixels, spacing, trained_mm=model()["spacing_mm"])
    breast = Breast.find(resampled)
    planes, left, top = detector_planes(resampled, breast, kind=model()["normalisation"], finer=scale.max())
    boxes = network("detector")(planes[None])[0][0].astype(np.float64)
    boxes = boxes[boxes[:, 4] >= threshold]
    boxes[:, :4] += np.array([left, top, left, top])
    found: list[Array] = []
    for box in boxes[np.argsort(-boxes[:, 4], kind="stable")]:
        if not any(overlap(box, other) > MERGE for other in found):
            found.append(box)
    on_breast = [box for box in found if breast.holds((box[0] + box[2]) / 2, (box[1] + box[3]) / 2)]
    scored = [weighed(box / np.array([*scale, *scale, 1]), pixels, spacing) for box in on_breast]
    scored = sorted((box for box in scored if box[4] >= threshold), key=lambda box: -float(box[4]))
    return scored[: model()["max_findings"]]


def weighed(box: Array, pixels: Array, spacing: tuple[float, float] | None) -> Array:
    """Return a box with its score lowered where its specks stand out little from the noise."""
    weight = model()["speck_weight"]
    if not weight:
        return box
    strength = mean_log_strength(pixels, whole(box, pixels.shape), millimetres(spacing))
    odds = box[4] * np.exp(weight * strength)
    return np.append(box[:4], odds / (1 - box[4] + odds))


def whole(box: Array, shape: tuple[int, int]) -> tuple[int, int, int, int]:
    """Return the whole pixels of an image of H x W that a box touches: x0, y0, x1, y1."""
    low, high = np.floor(box[:2]).clip(0), np.ceil(box[2:4]).clip(0, shape[::-1])
    return int(low[0]), int(low[1]), int(high[0]), int(high[1])


def millimetres(spacing: tuple[float, float] | None) -> float:
    """Return the mean pixel spacing; that of training where none is stated."""
    return sum(spacing) / 2 if spacing else 0.07


def overlap(one: Array, other: Array, *, of_union: bool = False) -> float:
    """Return the intersection of two boxes over the smaller area, or over their union, in [0, 1]."""
    sides = np.minimum(one[2:4], other[2:4]) - np.maximum(one[:2], other[:2])
    common = float(np.prod(np.clip(sides, 0, None)))
    areas = [float(np.prod(box[2:4] - box[:2])) for box in (one, other)]
    return common / (sum(areas) - common if of_union else max(min(areas), 1e-9))


def segment(pixels: Array, box: tuple[int, int, int, int], mm: float) -> tuple[Array, float | None]:
    """Return the mask of a box, H x W bool, and the probability of a lesion (None if the network states none)."""
    height, width = pixels.shape
    x0, y0, x1, y1 = box
    points = specks(pixels, box, mm, rule=model()["prompt_rule"], count=model()["prompt_count"])
    size = int(model()["input_size"])
    # A square region twice as large as the box, centred on a coarse grid and moved into the image.
    side = -(-2 * max(x1 - x0, y1 - y0) // (size // 8)) * (size // 8)
    side = max(size, min(side, max(height, width)))
    cell = max(1, side // 16)
    left, top = (
        min(max(round(round((low + high) / 2 / cell) * cell - side / 2), 0), length - min(side, length))
        for low, high, length in ((x0, x1, width), (y0, y1, height))
    )
    scale = size / side
    crop = pixels[top : top + side, left : left + side]
    features = network("encoder")(
        region_planes(crop, mm, size=size, scale=scale, channels=model()["channels"])
    )
    # The mask may leave the box by a tenth, as the prompt says.
    dx, dy = round((x1 - x0) * 0.1), round((y1 - y0) * 0.1)
    bx0, bx1 = max(x0 - dx, left), min(x1 + dx, left + crop.shape[1])
    by0, by1 = max(y0 - dy, top), min(y1 + dy, top + crop.shape[0])
    prompt = [(x + 0.5, y + 0.5) for x, y in points] + [(bx0, by0), (bx1, by1)]
    coordinates = [((x - left) * scale, (y - top) * scale) for x, y in prompt]
    labels = [1] * len(points) + [2, 3]
    none = np.zeros((1, 1, size // 4, size // 4), np.float32)
    inputs = [np.array([coordinates], np.float32), np.array([labels], np.int64), none, np.array([False])]
    logits, *presence = network("decoder")([*inputs, *features.to_tuple()]).to_tuple()
    full = cv2.resize(logits[0, 0], (side, side), interpolation=cv2.INTER_LINEAR)
    mask = np.zeros((height, width), bool)
    mask[by0:by1, bx0:bx1] = full[by0 - top : by1 - top, bx0 - left : bx1 - left] > 0
    return mask, float(presence[0].item()) if presence else None


def find(
    pixels: Array, spacing: tuple[float, float] | None, threshold: float
) -> tuple[list[dict[str, Any]], Array]:
    """Return the findings as JSON objects, and the union of their masks."""
    height, width = pixels.shape
    findings, union = [], np.zeros(pixels.shape, bool)
    for found in detect(pixels, spacing, threshold):
        box, score = whole(found, (height, width)), found[4]
        mask, presence = segment(pixels, box, millimetres(spacing))
        if presence is not None and presence < model()["presence_threshold"]:
            mask[:] = False
        union |= mask
        outlines, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
        finding = {"score": round(float(score), 4), "box": box, "area": int(mask.sum()), "presence": presence}
        findings.append(finding | {"outlines": [outline[:, 0].tolist() for outline in outlines]})
    return findings, union


def self_test() -> list[dict[str, Any]]:
    """Return the findings of the product that are not found here; empty if all are."""
    expected = json.loads((HERE / "expected.json").read_text(encoding="utf-8"))
    pixels, _ = read(HERE / "self_test.png", bits=expected["bits"])
    found, _ = find(pixels, (expected["spacing_mm"],) * 2, expected["threshold"])
    return [
        row
        for row in expected["findings"]
        if not any(
            overlap(np.array(row["box"]), np.array(each["box"]), of_union=True) >= expected["min_iou"]
            and abs(row["score"] - each["score"]) <= expected["score_tolerance"]
            and abs(row["area"] - each["area"]) <= expected["area_tolerance"] * row["area"]
            for each in found
        )
    ]


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("image", type=Path, nargs="?", help="DICOM file, or a grey image of 8 or 16 bits")
    parser.add_argument("--spacing", type=float, help="mm per pixel, for an image that states none")
    parser.add_argument("--mask", type=Path, help="write the masks of all findings to this PNG")
    parser.add_argument(
        "--self-test", action="store_true", help="compare with the product's answer on the phantom"
    )
    options = parser.parse_args()
    if options.self_test:
        missing = self_test()
        sys.exit(
            f"self-test failed, not found as expected: {missing}" if missing else print("self-test passed")
        )
    if options.image is None:
        parser.error("name an image, or --self-test")
    pixels, spacing = read(options.image)
    if spacing is None and options.spacing:
        spacing = (options.spacing, options.spacing)
    findings, union = find(pixels, spacing, model()["threshold"])
    if options.mask:
        cv2.imwrite(str(options.mask), union.astype(np.uint8) * 255)
    print(json.dumps({"model": model()["version"], "spacing_mm": spacing, "findings": findings}, indent=1))


if __name__ == "__main__":
    main()
