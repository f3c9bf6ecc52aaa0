"""A scripted reader: corrections of random kind, as the results that Label Studio's editor submits for them.

Each correction changes the results of an exam's annotation, and what the reader means by them. What the editor writes
(origins, keys, attributes that repeat their region's place) was recorded from Label Studio 1.23.2; `browser` compares.
"""

from __future__ import annotations

import copy
import itertools
import math
import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from benchmarks.corrections.meaning import Change, Meaning, Meant, Points
from mammo.bi_rads import DISTRIBUTIONS, MORPHOLOGIES
from mammo.exam_views import EXAM_VIEWS
from mammo.geometry import Size

Kind = Literal[
    "untouched",
    "moved vertex",
    "deleted",
    "redrawn",
    "added by click",
    "added by hand",
    "replaced",
    "linked",
    "described",
]
KINDS: tuple[Kind, ...] = get_args(Kind)

Result = dict[str, Any]
Ask = Callable[[list[Result], Result], list[Result]]
"""Asks the model: the annotation as it is, and a click -> the results of the answer."""

NEAR = 6.0
"""Least distance of a new finding from the vertices of all others, in percent: 5 mm on the images that are drawn."""

WORDS = {"morphology": MORPHOLOGIES, "distribution": DISTRIBUTIONS}


class Impossible(Exception):
    """The exam has nothing that a correction of this kind could change."""


class Reader:
    """Corrects one exam."""

    _max_corners = 10
    """Of an outline that is drawn."""

    def __init__(
        self,
        prediction: Sequence[Mapping[str, Any]],
        *,
        size: Size,
        tissue: Mapping[str, npt.NDArray[np.bool_]],
        random_: random.Random,
        ask: Ask,
    ) -> None:
        """
        Args:
            prediction: results of the exam's prelabel.
            size: of its images.
            tissue: H x W bool for each view, True well inside the breast.
            random_: decides what is corrected, and how.
            ask: asks the model.
        """
        self.result = [opened(each) for each in prediction]
        self.meaning = Meaning(
            findings={
                each["id"]: Meant(each["to_name"], each["value"]["points"], "accepted")
                for each in self._outlines()
            },
            links={frozenset((each["from_id"], each["to_id"])) for each in self._links()},
        )
        self.done: list[tuple[Kind, str]] = []
        """Kind of each correction, and the finding that it was about."""

        self._size, self._tissue, self._random, self._ask = size, tissue, random_, ask
        self._names = (f"{random_.getrandbits(60):x}"[:10] for _ in itertools.count())
        self._reserved: set[str] = set()

    def correct(self, kind: Kind) -> None:
        """Make one correction.

        Raises:
            Impossible: the exam has nothing to correct in this way.
        """
        methods: dict[Kind, Callable[[], str]] = {
            "untouched": self._leave,
            "moved vertex": self._move_vertex,
            "deleted": self._delete,
            "redrawn": self._redraw,
            "added by click": self._add_by_click,
            "added by hand": self._add_by_hand,
            "replaced": self._replace,
            "linked": self._link,
            "described": self._describe,
        }
        self.done.append((kind, methods[kind]()))

    def _leave(self) -> str:
        name = self._pick()
        self._reserved.add(name)
        return name

    def _move_vertex(self) -> str:
        name = self._pick()
        meant = self.meaning.findings[name]
        points = [list(each) for each in meant.points]
        middle = centre(points)
        index = self._random.randrange(len(points))
        # Away from the middle, so that no edge crosses another.
        points[index] = [m + 1.25 * (p - m) for p, m in zip(points[index], middle, strict=True)]
        self._drag(name, index, points)
        meant.points = points
        meant.change = "edited" if meant.change == "accepted" else meant.change
        return name

    def _delete(self) -> str:
        name = self._pick()
        self._remove(name)
        self.meaning.delete(name)
        return name

    def _redraw(self) -> str:
        """Delete an outline and draw another around the same place; the reader means the prelabel's finding."""
        name = self._pick()
        meant = self.meaning.findings[name]
        points = self._around(centre(meant.points), 1.1 * spread(meant.points))
        self._remove(name)
        self.meaning.delete(name)
        origin = meant.stands_for or name
        self.meaning.deleted.discard(origin)
        new = self._draw(meant.view, points)
        change: Change = "added" if meant.change == "added" else "edited"
        self.meaning.findings[new] = Meant(meant.view, points, change, stands_for=origin)
        return new

    def _add_by_hand(self) -> str:
        view, place = self._free_place()
        points = self._around(place, self._random.uniform(1.5, 2.5))
        name = self._draw(view, points)
        self.meaning.findings[name] = Meant(view, points, "added")
        return name

    def _add_by_click(self) -> str:
        view, place = self._free_place()
        region = self._ask_for(view, place, positive=True)
        name = str(region["id"])
        if name in self.meaning.findings:
            raise AssertionError(f"a click far from all outlines was answered with one of them, {name}")
        self.meaning.findings[name] = Meant(view, region["value"]["points"], "added")
        return name

    def _replace(self) -> str:
        """Take away a part of an outline by Ctrl + Alt + click, or add to it by Ctrl + click."""
        name = self._pick()
        meant = self.meaning.findings[name]
        middle, positive = centre(meant.points), self._random.random() < 0.5
        vertex = max(meant.points, key=lambda each: math.dist(each, middle))
        share = 0.95 if positive else 0.7
        place = [m + share * (v - m) for v, m in zip(vertex, middle, strict=True)]
        region = self._ask_for(meant.view, place, positive=positive)
        if region["id"] != name:
            raise AssertionError(f"a click in {name} was answered with {region['id']}")
        changed = region["value"]["points"] != meant.points
        meant.points = region["value"]["points"]
        meant.change = "edited" if changed and meant.change == "accepted" else meant.change
        return name

    def _link(self) -> str:
        pairs = [
            (one, other)
            for one, other in itertools.combinations(self._free(), 2)
            if self._breast(one) == self._breast(other)
            and self.meaning.findings[one].view != self.meaning.findings[other].view
            and frozenset((one, other)) not in self.meaning.links
        ]
        if not pairs:
            raise Impossible
        one, other = self._random.choice(pairs)
        self._connect(one, other)
        self.meaning.links.add(frozenset((one, other)))
        return one

    def _describe(self) -> str:
        name = self._pick()
        for control, words in WORDS.items():
            word = self._random.choice(words)
            self._choose(name, control, word)
            self.meaning.findings[name].words[control] = word
        return name

    # What the editor does

    def _draw(self, view: str, points: Points) -> str:
        """Draw an outline by hand; return its id."""
        name = next(self._names)
        self.result.append(drawn(name, view, points, self._size))
        return name

    def _drag(self, name: str, vertex: int, points: Points) -> None:
        """Drag a vertex, which gives an outline these points."""
        for each in self.result:
            if each.get("id") == name:
                each["value"]["points"] = copy.deepcopy(points)
                each["origin"] = "manual" if each["origin"] == "manual" else "prediction-changed"

    def _remove(self, name: str) -> None:
        """Delete an outline."""
        gone = [each for each in self._links() if name in (each["from_id"], each["to_id"])]
        self.result = [each for each in self.result if each.get("id") != name and each not in gone]

    def _ask_for(self, view: str, place: Sequence[float], *, positive: bool) -> Result:
        """Ask the model by a click, and accept the answer; return its outline."""
        answer = self._ask(self.result, self._click(view, place, positive=positive))
        (region,) = [each for each in answer if each["type"] == "polygonlabels"]
        # Label Studio puts it at the end, before the relations.
        others = [each for each in self.result if each.get("id") != region["id"]]
        self.result = [*others, *(copy.deepcopy(each) | {"origin": "manual"} for each in answer)]
        return region

    def _choose(self, name: str, control: str, word: str) -> None:
        """Choose a word about a finding."""
        region = next(each for each in self._outlines() if each["id"] == name)
        choice = chosen(region, control, word)
        same = (name, choice["from_name"])
        others = [each for each in self.result if (each.get("id"), each.get("from_name")) != same]
        self.result = [*others, choice]

    def _connect(self, one: str, other: str) -> None:
        """Link two findings by Alt + R; such a relation has no label."""
        self.result.append({"from_id": one, "to_id": other, "type": "relation", "direction": "right"})

    def _around(self, middle: Sequence[float], radius: float) -> list[list[float]]:
        """Return an outline that one could have drawn around a place."""
        corners = min(self._random.randint(6, 10), self._max_corners)
        points = []
        for corner in range(corners):
            angle, length = 2 * math.pi * corner / corners, radius * self._random.uniform(0.8, 1.2)
            down = length * math.sin(angle) * self._size.width / self._size.height
            points.append([middle[0] + length * math.cos(angle), middle[1] + down])
        return points

    def _click(self, view: str, place: Sequence[float], *, positive: bool) -> Result:
        return {
            "original_width": self._size.width,
            "original_height": self._size.height,
            "image_rotation": 0,
            "value": {
                "x": place[0],
                "y": place[1],
                "width": 0.69,
                "labels": ["Cluster"],
                "keypointlabels": ["Cluster"],
            },
            "is_positive": positive,
            "id": next(self._names),
            "from_name": f"ask-{view}",
            "to_name": view,
            "type": "keypointlabels",
            "origin": "manual",
        }

    # What there is to correct

    def _free(self) -> list[str]:
        return [name for name in self.meaning.findings if name not in self._reserved]

    def _pick(self) -> str:
        """Return a finding that may be changed, rather one that no correction was about."""
        about = {name for _, name in self.done}
        names = self._free()
        if not names:
            raise Impossible
        return self._random.choice([name for name in names if name not in about] or names)

    def _free_place(self) -> tuple[str, tuple[float, float]]:
        """Return a view, and a place in its breast that is far from all outlines."""
        for _ in range(500):
            view = self._random.choice(EXAM_VIEWS).name
            rows, columns = np.nonzero(self._tissue[view])
            if not len(rows):
                continue
            index = self._random.randrange(len(rows))
            x, y = (
                (columns[index] + 0.5) * 100 / self._size.width,
                (rows[index] + 0.5) * 100 / self._size.height,
            )
            near = [
                math.dist(vertex, (x, y)) - spread(each.points)
                for each in self.meaning.findings.values()
                if each.view == view
                for vertex in [*each.points, centre(each.points)]
            ]
            if min(near, default=math.inf) > NEAR:
                return view, (float(x), float(y))
        raise Impossible

    def _breast(self, name: str) -> str:
        return self.meaning.findings[name].view[0]

    def _outlines(self) -> list[Result]:
        return [each for each in self.result if each["type"] == "polygonlabels"]

    def _links(self) -> list[Result]:
        return [each for each in self.result if each["type"] == "relation"]


def opened(result: Mapping[str, Any]) -> Result:
    """Return a result of a prediction as the editor holds it."""
    copied = copy.deepcopy(dict(result))
    return copied if copied["type"] == "relation" else copied | {"origin": "prediction"}


def drawn(name: str, view: str, points: Points, size: Size) -> Result:
    """Return an outline that was drawn by hand."""
    return {
        "original_width": size.width,
        "original_height": size.height,
        "image_rotation": 0,
        "value": {"points": [list(each) for each in points], "closed": True, "polygonlabels": ["Cluster"]},
        "id": name,
        "from_name": f"outline-{view}",
        "to_name": view,
        "type": "polygonlabels",
        "origin": "manual",
    }


def chosen(region: Result, control: str, word: str) -> Result:
    """Return a choice about a region; it repeats where the region lies."""
    place = {key: value for key, value in region["value"].items() if key in ("points", "closed")}
    kept = ("original_width", "original_height", "image_rotation", "id", "to_name", "origin", "meta")
    return {key: copy.deepcopy(region[key]) for key in kept if key in region} | {
        "value": copy.deepcopy(place) | {"choices": [word]},
        "from_name": f"{control}-{region['to_name']}",
        "type": "choices",
    }


def centre(points: Points) -> tuple[float, float]:
    """Return the mean of the vertices."""
    xs, ys = zip(*points, strict=True)
    return sum(xs) / len(xs), sum(ys) / len(ys)


def spread(points: Points) -> float:
    """Return the largest distance of a vertex from the mean of all."""
    return max(math.dist(each, centre(points)) for each in points)
