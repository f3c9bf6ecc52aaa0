"""Meaning: the findings that a scripted reader of an exam means, kept apart from what Label Studio is sent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt
from matplotlib.path import Path as Outline

from mammo.geometry import Size

Change = Literal["accepted", "edited", "added"]
Points = Sequence[Sequence[float]]
"""Vertices in percent of the image's sides."""


SAME = 0.97
"""Dice from which two outlines are the same; a small one has few pixels inside for many at its edge."""


@dataclass
class Meant:
    """A finding that the reader means."""

    view: str
    points: Points
    change: Change
    """Against the prelabel."""

    stands_for: str = ""
    """Id of the prelabelled finding that was drawn anew as this one; empty for its own."""

    words: dict[str, str] = field(default_factory=dict)
    """`morphology` and `distribution`, as far as the reader chose them."""

    def pixels(self, size: Size) -> npt.NDArray[np.bool_]:
        """Return H x W bool, True where the middle of a pixel is inside the outline."""
        vertices = np.asarray(self.points) * (size.width / 100, size.height / 100)
        x0, y0 = np.floor(vertices.min(axis=0)).astype(int)
        x1, y1 = np.ceil(vertices.max(axis=0)).astype(int)
        columns, rows = np.meshgrid(np.arange(x0, x1), np.arange(y0, y1))
        middles = np.column_stack([columns.ravel(), rows.ravel()]) + 0.5
        inside = Outline([*vertices, vertices[0]], closed=True).contains_points(middles)
        pixels = np.zeros((size.height, size.width), np.bool_)
        pixels[y0:y1, x0:x1] = inside.reshape(columns.shape)
        return pixels


@dataclass
class Meaning:
    """What the reader means about one exam."""

    findings: dict[str, Meant] = field(default_factory=dict)
    """By the id of their region."""

    deleted: set[str] = field(default_factory=set)
    """Ids of prelabelled findings that are none."""

    links: set[frozenset[str]] = field(default_factory=set)
    """Pairs of findings that are one lesion."""

    same: float = SAME
    """Dice from which an outline is the one that is meant."""

    def delete(self, name: str) -> None:
        """Forget a finding and its links."""
        meant = self.findings.pop(name)
        if meant.change != "added":
            self.deleted.add(meant.stands_for or name)
        self.links = {pair for pair in self.links if name not in pair}

    def lesions(self) -> set[frozenset[str]]:
        """Return the findings of every lesion that is seen more than once."""
        groups: list[set[str]] = []
        for pair in self.links:
            touching = [group for group in groups if group & pair]
            groups = [group for group in groups if not group & pair] + [set(pair).union(*touching)]
        return {frozenset(group) for group in groups}


def compare(meaning: Meaning, stored: Mapping[str, Sequence[Stored]], *, size: Size) -> list[str]:
    """Return how the findings of a dataset version differ from what was meant; empty if they do not.

    Args:
        meaning: of an exam.
        stored: findings of each view, by its name.
        size: of the images.
    """
    problems = []
    names: dict[int, str] = {}
    for view, found in stored.items():
        expected = {name: each for name, each in meaning.findings.items() if each.view == view}
        if len(found) != len(expected):
            problems.append(f"{view}: {len(found)} findings, meant {len(expected)}")
        for name, each in expected.items():
            pixels = each.pixels(size)
            best = max(found, key=lambda other: other.dice(pixels), default=None)
            if best is None or best.dice(pixels) < meaning.same:
                problems.append(f"{view}: {name} is not there as it was drawn")
            elif best.words != each.words:
                problems.append(f"{view}: {name} says {best.words}, meant {each.words}")
            else:
                names[id(best)] = name
    lesions: dict[str, set[str]] = {}
    for seen in (seen for found in stored.values() for seen in found if seen.lesion):
        lesions.setdefault(seen.lesion, set()).add(names.get(id(seen), "another finding"))
    if (got := {frozenset(group) for group in lesions.values()}) != meaning.lesions():
        problems.append(f"lesions {sorted(map(sorted, got))}, meant {sorted(map(sorted, meaning.lesions()))}")
    return problems


@dataclass(frozen=True, eq=False)
class Stored:
    """A finding of a dataset version."""

    pixels: npt.NDArray[np.bool_]
    """H x W."""

    words: Mapping[str, str]
    lesion: str

    def dice(self, other: npt.NDArray[np.bool_]) -> float:
        both = np.count_nonzero(self.pixels & other)
        return 2 * both / max(np.count_nonzero(self.pixels) + np.count_nonzero(other), 1)
