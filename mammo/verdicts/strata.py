"""Strata: how many lesions each model found, by size and by the brightness of the tissue around them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

from mammo.verdicts.record import Lesion, Part, VerdictRecord

SIZES_MM = (5.0, 10.0, 20.0)
"""Limits between the strata of size, in mm."""

PARTS: dict[Part, str] = {
    "inserted": "with inserted clusters",
    "untouched": "untouched",
    "test": "of frozen test patients",
}
"""The parts of an adaptation's images, in words."""

THIRDS = ("darker third of the breast", "middle third", "brighter third")


@dataclass(frozen=True)
class Stratum:
    """The lesions of one stratum, and those found at each model's operating point."""

    name: str
    lesions: int
    champion: int
    challenger: int


def strata(record: VerdictRecord) -> list[tuple[str, list[Stratum]]]:
    """Return the strata of a record with their titles; of an adaptation, apart for each part of its images."""
    titled = []
    for part in dict.fromkeys(image.part for image in record.images if image.lesions):
        images = tuple(image for image in record.images if image.part == part)
        of_part = record.model_copy(update={"images": images})
        suffix = f", images {PARTS[part]}" if part else ""
        titled.append((f"Size{suffix}", by_size(of_part)))
        titled.append((f"Tissue around the lesion{suffix}", by_surroundings(of_part)))
    return titled


def by_size(record: VerdictRecord) -> list[Stratum]:
    """Return the strata of size that have a lesion; those of unknown size last."""
    limits = [f"{limit:g}" for limit in SIZES_MM]
    between = [f"{low} to {high} mm" for low, high in pairwise(limits)]
    names = [f"below {limits[0]} mm", *between, f"from {limits[-1]} mm"]

    def name(lesion: Lesion) -> str | None:
        if lesion.diameter_mm is None:
            return None
        return names[sum(lesion.diameter_mm >= limit for limit in SIZES_MM)]

    return _count(record, names, name)


def by_surroundings(record: VerdictRecord) -> list[Stratum]:
    """Return the strata of surrounding tissue. Brightness stands in for density, which no image states."""

    def name(lesion: Lesion) -> str | None:
        return None if lesion.surroundings is None else THIRDS[min(int(lesion.surroundings * 3), 2)]

    return _count(record, THIRDS, name)


def _count(
    record: VerdictRecord, names: list[str] | tuple[str, ...], name: Callable[[Lesion], str | None]
) -> list[Stratum]:
    counts = {each: [0, 0, 0] for each in (*names, "not known")}
    for image in record.images:
        hit = [{each.lesion for each in image.answer(role).found} for role in ("champion", "challenger")]
        for index, lesion in enumerate(image.lesions):
            row = counts[name(lesion) or "not known"]
            row[0] += 1
            row[1] += index in hit[0]
            row[2] += index in hit[1]
    return [Stratum(each, *row) for each, row in counts.items() if row[0]]
