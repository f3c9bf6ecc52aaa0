"""ProjectReaders: who read what in a project, how much is left, and how alike its readers are."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from mammo.annotations import AnnotationStore
from mammo.efforts.effort_records import Efforts, annotator_pseudonym
from mammo.errors import MammoError
from mammo.labelstudio.client import LabelStudioClient
from mammo.labelstudio.project_tags import TagsLookup
from mammo.readers.known_cases import KnownCases
from mammo.readers.overlap import Overlap, overlaps
from mammo.readers.tallies import Day, Tally, by_reader, tallies
from mammo.readings import ReadingRecords, summarise
from mammo.readings.cases import cases_of
from mammo.readings.descriptor_agreement import DescriptorAgreement, descriptor_agreements
from mammo.readings.kappa import Kappa, cohens_kappa, ratings_by_patient

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
class ReaderPair:
    """How far two readers agree, over all images that both have read."""

    first: str
    """Pseudonym, or the role in a double reading."""

    second: str
    images: int
    agreed: int
    """Images with the same lesions and matching outlines, or without any in both readings."""

    kappa: Kappa
    """Of lesion presence per patient."""

    descriptors: tuple[DescriptorAgreement, ...] = ()
    """Agreement on words of BI-RADS, for each descriptor that one of the two used."""

    def to_json(self) -> dict[str, Any]:
        return {
            "first": self.first,
            "second": self.second,
            "images": self.images,
            "agreed": self.agreed,
            "patients": self.kappa.patients,
            "kappa": self.kappa.value,
            "descriptors": {each.name: each.to_json() for each in self.descriptors},
        }


@dataclass(frozen=True, kw_only=True)
class ProjectReaders:
    """The readers of one project."""

    days: Mapping[Day, Tally]
    pairs: tuple[ReaderPair, ...]
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
            "pairs": [each.to_json() for each in self.pairs],
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
        pairs=(
            *_pairs(list(found), pseudonym),
            *_double_reading(project, store=store, records=records, tags=tags),
        ),
        unreadable=len(efforts.unreadable),
        num_known_cases=len(known_cases.of(project)),
        **asked,
    )


def _pairs(found: Sequence[Overlap], pseudonym: Callable[[int | None], str]) -> list[ReaderPair]:
    by_pair: dict[tuple[str, str], list[Overlap]] = {}
    for each in found:
        key = pseudonym(each.first.completed_by), pseudonym(each.second.completed_by)
        by_pair.setdefault(key, []).append(each)
    return [
        ReaderPair(
            first=first,
            second=second,
            images=len(images),
            agreed=sum(each.agreement.agreed for each in images),
            kappa=cohens_kappa(
                ratings_by_patient((each.patient, each.agreement.present) for each in images).values()
            ),
            descriptors=descriptor_agreements((each.patient, each.agreement) for each in images),
        )
        for (first, second), images in sorted(by_pair.items())
    ]


def _double_reading(
    project: int, *, store: AnnotationStore, records: ReadingRecords, tags: TagsLookup
) -> list[ReaderPair]:
    """Return the pair of a project's double reading, if it has one; kappa is that of the first round."""
    if project not in records.sources():
        return []
    double = records.find(project)
    summary = summarise(
        double,
        cases_of(
            double,
            corrections=store.corrections,
            sizes=store.image_sizes,
            records=records,
            tags=tags(project),
        ),
    )
    compared = [case.agreement for case in summary.cases if case.agreement is not None]
    return [
        ReaderPair(
            first="reader 1 of the double reading",
            second="reader 2",
            images=len(compared),
            agreed=sum(each.agreed for each in compared),
            kappa=summary.kappa,
            descriptors=summary.descriptors,
        )
    ]


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


def name_of(user: Mapping[str, Any]) -> str:
    """Return the name of a Label Studio user: first and last name, else the e-mail address; at most `MAX_NAME` long."""
    names = (str(user.get(key) or "").strip() for key in ("first_name", "last_name"))
    name = " ".join(filter(None, names)) or str(user.get("email") or "")
    return name[:MAX_NAME].encode("utf-8", "replace").decode()
