"""Places: each held-out lesion and each false alarm, classified by what changed between the models, worst first."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from mammo.geometry import Box, Point
from mammo.verdicts.record import Found, Image, Lesion, VerdictRecord

Kind = Literal[
    "lost", "new_alarm", "both_missed", "worse_outline", "both_alarm", "both_found", "alarm_gone", "won"
]

KINDS: dict[Kind, str] = {
    "lost": "lost: only the champion found it",
    "new_alarm": "new false alarm",
    "both_missed": "missed by both",
    "worse_outline": "found by both, outline worse",
    "both_alarm": "false alarm of both",
    "both_found": "found by both",
    "alarm_gone": "false alarm gone",
    "won": "won: only the challenger found it",
}
"""In the order of the report, worst first."""

OUTLINE_CHANGE = 0.05
"""Loss of Dice from which an outline is called worse."""


@dataclass(frozen=True)
class Place:
    """One lesion, or one false alarm of one model or of both."""

    key: str
    kind: Kind
    number: int
    """Index of the image in the record."""

    image: Image
    lesion: Lesion | None
    champion: Found | None
    challenger: Found | None
    champion_best: float | None
    """Best score of a detection of the lesion, also below the operating point."""

    challenger_best: float | None
    loss: float
    """Orders places of the same kind, worst first."""

    @property
    def box(self) -> Box:
        """The box around everything that is drawn here."""
        shapes = [each.shape for each in (self.lesion, self.champion, self.challenger) if each is not None]
        box = shapes[0].box
        for shape in shapes[1:]:
            box = box.union(shape.box)
        return box


def places(record: VerdictRecord) -> list[Place]:
    """Return all lesions and false alarms of a record, worst first."""
    order = list(KINDS)
    found = [each for number, image in enumerate(record.images) for each in _of_image(number, image)]
    return sorted(found, key=lambda each: (order.index(each.kind), -each.loss, each.key))


def _of_image(number: int, image: Image) -> Iterator[Place]:
    old, new = image.champion, image.challenger
    for index, lesion in enumerate(image.lesions):
        before = next((each for each in old.found if each.lesion == index), None)
        after = next((each for each in new.found if each.lesion == index), None)
        scores = old.best[index], new.best[index]
        kind, loss = _judge(before, after, scores)
        yield Place(f"{number}.lesion.{index}", kind, number, image, lesion, before, after, *scores, loss)
    alarms = [each for each in old.found if each.lesion is None]
    for index, alarm in enumerate(each for each in new.found if each.lesion is None):
        same = next((each for each in alarms if _same_place(each.shape.box, alarm.shape.box)), None)
        if same is not None:
            alarms.remove(same)
        kind = "both_alarm" if same else "new_alarm"
        yield Place(
            f"{number}.alarm.{index}", kind, number, image, None, same, alarm, None, None, alarm.score
        )
    for index, alarm in enumerate(alarms):
        key = f"{number}.gone.{index}"
        yield Place(key, "alarm_gone", number, image, None, alarm, None, None, None, alarm.score)


def _judge(
    before: Found | None, after: Found | None, scores: tuple[float | None, float | None]
) -> tuple[Kind, float]:
    """The kind of a lesion, and how bad it is among those of its kind."""
    if before and after:
        change = (after.dice or 0.0) - (before.dice or 0.0)
        return ("worse_outline" if change <= -OUTLINE_CHANGE else "both_found"), -change
    if before:
        return "lost", before.score
    if after:
        return "won", -after.score
    return "both_missed", -max(score or 0.0 for score in scores)


def _same_place(first: Box, second: Box) -> bool:
    return _holds(first, second) or _holds(second, first)


def _holds(box: Box, other: Box) -> bool:
    x, y = other.centre
    return box.contains(Point(int(x), int(y)))
