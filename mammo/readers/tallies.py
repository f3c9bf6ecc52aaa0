"""Tally: figures of one reader, which add up over days, so that any period is answered without reading corrections."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from statistics import median

from mammo.efforts.edit_effort import WordCounts, total_words
from mammo.efforts.effort_records import EffortRecord

Day = tuple[str, date]
"""Pseudonym of a reader, and a day (UTC). A correction belongs to the day of its last change."""


@dataclass(kw_only=True, slots=True)
class Tally:
    """Figures of one reader on one day, or of several days."""

    images: int = 0
    """Images read: one per annotation and image of its task."""

    prelabelled: int = 0
    """Images whose prelabel was shown. Only of these are the changes counted."""

    accepted: int = 0
    edited: int = 0
    added: int = 0
    deleted: int = 0
    hasty: int = 0
    """Images whose prelabel was accepted unchanged within seconds; see `EffortRecord.hasty`."""

    seconds: list[float] = field(default_factory=list)
    """Time of each annotation, as Label Studio measures it."""

    annotations: int = 0
    known_cases: int = 0
    """Images read of known cases."""

    hits: int = 0
    """Their true findings that the reader has."""

    misses: int = 0
    """Those that the reader has not."""

    false_marks: int = 0
    """The reader's findings on them that are none."""

    words: tuple[tuple[str, WordCounts], ...] = ()
    """What became of words of BI-RADS, by descriptor; where no prelabel was shown, all are the reader's own."""

    def add(self, other: Tally) -> None:
        """Add the figures of another tally."""
        for name in COUNTS:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.seconds += other.seconds
        self.words = total_words((self.words, other.words))

    @property
    def accept_rate(self) -> float | None:
        """Share of the shown prelabels' findings that were accepted unchanged; None if there were none."""
        shown = self.accepted + self.edited + self.deleted
        return self.accepted / shown if shown else None

    @property
    def total_seconds(self) -> float:
        return sum(self.seconds)

    @property
    def median_seconds(self) -> float | None:
        """Median time per annotation; None if Label Studio reports none."""
        return median(self.seconds) if self.seconds else None


COUNTS = tuple(name for name in Tally.__dataclass_fields__ if name not in ("seconds", "words"))


def tallies(records: Iterable[EffortRecord]) -> dict[Day, Tally]:
    """Count the corrections of each reader and day."""
    found: dict[Day, Tally] = {}
    timed: set[int] = set()
    for record in records:
        tally = found.setdefault((record.annotator, record.at.date()), Tally())
        tally.images += 1
        tally.hasty += record.hasty
        tally.words = total_words((tally.words, _own_words(record)))
        if record.arm == "prelabelled":
            tally.prelabelled += 1
            for name in ("accepted", "edited", "added", "deleted"):
                setattr(tally, name, getattr(tally, name) + getattr(record.effort, name))
        if record.annotation not in timed:  # all images of an annotation share its time
            timed.add(record.annotation)
            tally.annotations += 1
            if record.lead_time is not None:
                tally.seconds.append(record.lead_time)
    return found


def _own_words(record: EffortRecord) -> tuple[tuple[str, WordCounts], ...]:
    """Return a reader's words. Without a shown prelabel, none was changed or accepted, even if it would be equal."""
    if record.arm == "prelabelled":
        return record.effort.words
    said = ((name, WordCounts(given=counts.said)) for name, counts in record.effort.words)
    return tuple((name, counts) for name, counts in said if counts.given)


def by_reader(days: Mapping[Day, Tally], *, since: date | None, until: date | None) -> dict[str, Tally]:
    """Add up the days of each reader in a period.

    Args:
        since: first day; None: from the beginning.
        until: last day; None: to the end.
    """
    readers: dict[str, Tally] = {}
    for (reader, day), tally in days.items():
        if (since is None or day >= since) and (until is None or day <= until):
            readers.setdefault(reader, Tally()).add(tally)
    return dict(sorted(readers.items()))
