"""Contact sheet: crops of hits, misses and the worst false positives of one detector, as one PNG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mammo.dicom import Mammogram
from mammo.exchange.overlay import PRELABEL, TRUTH
from mammo.geometry import Box, Size
from training.evaluation.detector import ScoredImage
from training.evaluation.image_cases import EvaluationSet
from training.evaluation.image_figures import best_hit, longest_mm
from training.metrics import centre_rule

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SIDE_MM = 25.0
"""Side of a crop; larger around a larger lesion."""

COLUMNS = 8
"""Maximum number of crops in a row."""

INCHES, DPI = 2.3, 110
"""Size of a crop on the sheet."""

LABEL_BOX = {"facecolor": "black", "alpha": 0.6, "edgecolor": "none", "pad": 0.8}
"""Background of a score."""


@dataclass(frozen=True, kw_only=True)
class Example:
    """What one crop shows."""

    scored: ScoredImage
    box: Box
    """In the middle of the crop: a lesion, or a false positive."""

    caption: str


def examples(
    scored: Sequence[ScoredImage], evaluated: EvaluationSet, *, threshold: float
) -> dict[str, list[Example]]:
    """Choose the crops of a sheet, row by row.

    Hits are spread evenly over their scores, misses begin with the largest lesion, false positives with the highest
    score; they are those of the images on which false positives count.

    Args:
        threshold: score of a finding.
    """
    hits: list[tuple[float, Example]] = []
    misses: list[tuple[float, Example]] = []
    false: list[tuple[float, Example]] = []
    images = evaluated.by_image
    for each in scored:
        image = images[each.image]
        for lesion in each.truth:
            size, score = longest_mm(lesion, image.spacing), best_hit(each, lesion)
            found = score >= threshold
            caption = f"{size:.1f} mm, " + (f"best score {score:.2f}" if score else "no detection")
            row, key = (hits, score) if found else (misses, size)
            row.append((key, Example(scored=each, box=lesion, caption=caption)))
        for detection in each.detections:
            if detection.score < threshold or (evaluated.on_normals and not image.is_normal):
                continue
            if not any(centre_rule(detection.box, lesion) for lesion in each.truth):
                example = Example(scored=each, box=detection.box, caption=f"score {detection.score:.2f}")
                false.append((detection.score, example))
    ordered = [
        [example for _, example in sorted(row, key=lambda pair: -pair[0])] for row in (hits, misses, false)
    ]
    where = "on normal images" if evaluated.on_normals else "on all images"
    return {
        f"hits\n{len(hits)} lesions": _spread(ordered[0]),
        f"misses\n{len(misses)} lesions": ordered[1][:COLUMNS],
        f"false positives\n{where}\n{len(false)}, worst first": ordered[2][:COLUMNS],
    }


def _spread(row: list[Example]) -> list[Example]:
    """At most `COLUMNS` examples, evenly spaced over the row, with its first and last."""
    if len(row) <= COLUMNS:
        return row
    return [row[round(index)] for index in np.linspace(0, len(row) - 1, COLUMNS)]


def write_contact_sheet(
    rows: Mapping[str, Sequence[Example]],
    evaluated: EvaluationSet,
    path: Path,
    *,
    title: str,
    threshold: float,
) -> None:
    """Draw a sheet: one row of crops per entry of `rows`, with its label beside it.

    Args:
        evaluated: images of the examples are read once more.
        threshold: score of a finding; of the detections below it only those on a missed lesion are drawn, dotted.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    images, columns = evaluated.by_image, max(4, *(len(row) for row in rows.values()))
    heights = [1.25 if row else 0.5 for row in rows.values()]
    figure = Figure(figsize=(INCHES * (columns + 0.6), INCHES * sum(heights) + 0.5), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(
        f"{title}\ncrops of {SIDE_MM:g} mm; green: truth, orange: detection with its score", fontsize=11
    )
    grid = figure.subplots(
        len(rows), columns + 1, squeeze=False, width_ratios=[0.6] + [1.0] * columns, height_ratios=heights
    )
    for cells, (label, row) in zip(grid, rows.items(), strict=True):
        for cell in cells:
            cell.set_axis_off()
        cells[0].text(0.5, 0.5, label, ha="center", va="center", fontsize=10, transform=cells[0].transAxes)
        for cell, example in zip(cells[1:], row, strict=False):
            image = images[example.scored.image]
            _draw_crop(cell, image.case.read(), example, threshold=threshold)
            cell.set_title(f"{image.name[-28:]}\n{example.caption}", fontsize=8)
    figure.savefig(path, dpi=DPI, metadata={"Software": None})


def _draw_crop(axes: Axes, mammogram: Mammogram, example: Example, *, threshold: float) -> None:
    """Draw one crop in mm around the middle of its box, with all truth and all findings in it."""
    from matplotlib.patches import Rectangle

    spacing = mammogram.spacing
    assert spacing is not None, "images without a spacing were refused"
    side = max(SIDE_MM, 1.3 * longest_mm(example.box, spacing))
    crop = _crop(example.box, side / spacing.column_mm, side / spacing.row_mm, mammogram.size)
    pixels = mammogram.pixels[crop.slices]
    low, high = np.percentile(pixels, (1.0, 99.8))
    width_mm, height_mm = spacing.column_mm, spacing.row_mm
    axes.imshow(
        pixels,
        cmap="gray",
        vmin=float(low),
        vmax=max(float(high), float(low) + 1e-6),
        extent=(crop.x0 * width_mm, crop.x1 * width_mm, crop.y1 * height_mm, crop.y0 * height_mm),
    )

    def rectangle(box: Box, colour: tuple[int, int, int], style: str, text: str = "") -> None:
        rgb = tuple(value / 255 for value in colour)
        corner = (box.x0 * width_mm, box.y0 * height_mm)
        width, height = box.width * width_mm, box.height * height_mm
        axes.add_patch(Rectangle(corner, width, height, fill=False, color=rgb, linestyle=style, linewidth=1))
        if text and crop.intersection(box) is not None:
            axes.text(*corner, text, color=rgb, fontsize=8, va="bottom", clip_on=True, bbox=LABEL_BOX)

    for lesion in example.scored.truth:
        rectangle(lesion, TRUTH, "-")
    is_miss = best_hit(example.scored, example.box) < threshold
    for detection in example.scored.detections:
        is_finding = detection.score >= threshold
        if is_finding or (is_miss and centre_rule(detection.box, example.box)):
            rectangle(detection.box, PRELABEL, "-" if is_finding else ":", f"{detection.score:.2f}")
    axes.set_xlim(crop.x0 * width_mm, crop.x1 * width_mm)
    axes.set_ylim(crop.y1 * height_mm, crop.y0 * height_mm)


def _crop(box: Box, width: float, height: float, size: Size) -> Box:
    """Return a crop around the middle of a box, moved into the image."""
    return Box.centred(*box.centre, width=max(2, round(width)), height=max(2, round(height))).moved_into(size)
