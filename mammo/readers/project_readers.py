"""ProjectReaders: who read what in a project, how much is left, and how alike its readers are."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from mammo.annotations import AnnotationStore
from mammo.efforts.effort_records import Efforts, annotator_pseudonym
from mammo.errors import MammoError
from mammo.labelstudio.client import LabelStudioClient
from mammo.labelstudio.project_tags import TagsLookup
from mammo.readers.known_cases import KnownCases
from mammo.readers.overlap import overlaps
from mammo.readers.pairs import ImagesOfPair, ReaderPair, pairs_of_double_reading, pairs_of_overlaps
from mammo.readers.tallies import Day, Tally, by_reader, tallies
from mammo.readings import ReadingRecords

MAX_NAME = 100
"""Characters of a name that are shown."""


@dataclass(frozen=True, kw_only=True)
class ReaderRow:
    """The figures of one reader in a period."""

    reader: str
    """Pseudonym."""

    name: str
    """As in Label Studio; empty if it is unknown, or hidden from who asks."""

    tally: Tally

    def to_json(self) -> dict[str, Any]:
        """Return the row as a JSON object; shares in [0, 1], times in seconds."""
        tally = self.tally
        return {
            "reader": self.reader,
            "name": self.name or None,
            "images": tally.images,
            "annotations": tally.annotations,
            "seconds": round(tally.total_seconds, 1),
            "median_seconds": tally.median_seconds,
            "prelabelled_images": tally.prelabelled,
            "accepted": tally.accepted,
            "edited": tally.edited,
            "added": tally.added,
            "deleted": tally.deleted,
            "accept_rate": tally.accept_rate,
            "accepted_within_seconds": tally.hasty,
            "known_cases": tally.known_cases,
            "hits": tally.hits,
            "misses": tally.misses,
            "false_marks": tally.false_marks,
            "words": {name: counts._asdict() for name, counts in tally.words},
        }


@dataclass(frozen=True, kw_only=True)
class ProjectReaders:
    """The readers of one project."""

    days: Mapping[Day, Tally]
    images_of_pairs: tuple[ImagesOfPair, ...]
    unreadable: int
    """Corrections that are not counted, because a region of them cannot be interpreted."""

    num_known_cases: int
    names: Mapping[str, str] = field(default_factory=dict)
    """Names by pseudonym, from Label Studio."""

    tasks: int | None = None
    """Tasks of the project; None: Label Studio does not say."""

    done: int | None = None
    """Tasks with as many annotations as the project asks for."""

    problem: str = ""
    """Why Label Studio did not say; otherwise empty."""

    @property
    def left(self) -> int | None:
        """Tasks that still have to be read; None if it is unknown."""
        return None if self.tasks is None or self.done is None else max(self.tasks - self.done, 0)

    def rows(self, *, since: date | None, until: date | None, with_names: bool) -> list[ReaderRow]:
        """Return the figures of each reader in a period, by pseudonym.

        Args:
            since, until: first and last day (UTC); None: without an end.
        """
        found = by_reader(self.days, since=since, until=until)
        return [
            ReaderRow(reader=each, name=self.names.get(each, "") if with_names else "", tally=tally)
            for each, tally in found.items()
        ]

    def pairs(self, *, since: date | None, until: date | None) -> list[ReaderPair]:
        """Return how alike the readers were on the images of a period; pairs without one are left out.

        Args:
            since, until: first and last day (UTC); None: without an end.
        """
        found = (each.within(since=since, until=until) for each in self.images_of_pairs)
        return [each for each in found if each is not None]

    def label(self, reader: str, *, with_names: bool) -> str:
        """Return a reader's name if it may be shown and is known, else the pseudonym."""
        return (self.names.get(reader) if with_names else None) or reader

    def to_json(self, *, since: date | None, until: date | None, with_names: bool) -> dict[str, Any]:
        """Return the figures of a period as a JSON object."""
        return {
            "since": since.isoformat() if since else None,
            "until": until.isoformat() if until else None,
            "readers": [
                each.to_json() for each in self.rows(since=since, until=until, with_names=with_names)
            ],
            "pairs": [each.to_json() for each in self.pairs(since=since, until=until)],
            "tasks": self.tasks,
            "done": self.done,
            "left": self.left,
            "known_cases": self.num_known_cases,
            "unreadable": self.unreadable,
            "problem": self.problem or None,
        }


def project_readers(
    project: int,
    *,
    efforts: Efforts,
    store: AnnotationStore,
    records: ReadingRecords,
    known_cases: KnownCases,
    client: LabelStudioClient | None,
    tags: TagsLookup,
    secret: bytes,
) -> ProjectReaders:
    """Gather what is known of a project's readers. Label Studio is asked for names and numbers of tasks.

    Args:
        efforts: edit effort of the project's corrections.
        client: None: neither names nor remaining tasks are known.
        secret: key of the readers' pseudonyms.
    """

    def pseudonym(user: int | None) -> str:
        return annotator_pseudonym(user, secret=secret)

    days = tallies(efforts.records)
    for day, tally in known_cases.tallies(project, secret=secret, tags=tags).items():
        days.setdefault(day, Tally()).add(tally)
    found = overlaps(project, store=store, records=records, tags=tags(project))
    asked = _from_label_studio(client, project, pseudonym)
    return ProjectReaders(
        days=days,
        images_of_pairs=(
            *pairs_of_overlaps(found, pseudonym),
            *pairs_of_double_reading(project, store=store, records=records, tags=tags),
        ),
        unreadable=len(efforts.unreadable),
        num_known_cases=len(known_cases.of(project)),
        **asked,
    )


def _from_label_studio(
    client: LabelStudioClient | None, project: int, pseudonym: Callable[[int | None], str]
) -> dict[str, Any]:
    if client is None:
        return {"problem": "Label Studio's address or API key is not set"}
    try:
        described = client.project(project)
        users = client.users()
    except MammoError as error:
        return {"problem": str(error)}
    tasks, done = described.get("task_number"), described.get("finished_task_number")
    return {
        "names": {pseudonym(int(each["id"])): name_of(each) for each in users},
        "tasks": tasks if isinstance(tasks, int) else None,
        "done": done if isinstance(done, int) else None,
    }


def names_by_pseudonym(client: LabelStudioClient | None, *, secret: bytes) -> dict[str, str]:
    """Return the names of all users of Label Studio by pseudonym; empty without Label Studio.

    Args:
        secret: key of the pseudonyms.

    Raises:
        LabelStudioError: it cannot be reached or refuses.
    """
    if client is None:
        return {}
    return {annotator_pseudonym(int(each["id"]), secret=secret): name_of(each) for each in client.users()}


def name_of(user: Mapping[str, Any]) -> str:
    """Return the name of a Label Studio user: first and last name, else the e-mail address; at most `MAX_NAME` long."""
    names = (str(user.get(key) or "").strip() for key in ("first_name", "last_name"))
    name = " ".join(filter(None, names)) or str(user.get("email") or "")
    return name[:MAX_NAME].encode("utf-8", "replace").decode()
