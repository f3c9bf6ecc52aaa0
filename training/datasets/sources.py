"""Whose word counts: of all that was said of an image, what a dataset version may take.

A project without a double reading has single annotations only. With one, an image that the arbiter has answered, or
that two readers agree on, has that for its truth; an image that they dispute has none yet, and waits. Where nobody
or only one has read, annotations of the project itself and of the one reader count as single ones.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import get_args

from sqlalchemy.engine import Engine

from mammo.annotations import AnnotationStore, Correction
from mammo.errors import InvalidSettings
from mammo.findings import Finding
from mammo.labelstudio.labeling_config import ControlTags
from mammo.readings import Case, DoubleReading, ReadingRecords, cases_of, consensus_of
from training.datasets.items import AUTOMATIC, Item, Source

PREFERENCE: tuple[Source, ...] = ("arbiter", "consensus", "single")
"""Whose word counts, best first."""


@dataclass(frozen=True, kw_only=True)
class Excluded:
    """A correction that cannot be trained on."""

    task_id: int
    annotation_id: int
    code: str
    """Stable: an error's code, `image_changed`, `other_size`, `superseded`, `automatic`, `disputed`,
    `source_not_used`."""

    reason: str


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """What may become an item."""

    correction: Correction
    """Its image and its truth; of a consensus, the first reader's, for the image."""

    source: Source
    task: int
    """The task of the project that shows the image."""

    origins: tuple[Correction, ...] = ()
    """The readings of a consensus."""

    findings: Callable[[], list[Finding]] | None = None
    """The truth, where it is not what the correction says; raises InvalidRegion."""

    basis: str = "single"
    """Names the source, and all that a consensus depends on besides the correction."""


def preference(setting: str) -> tuple[Source, ...]:
    """From `Settings.dataset_sources`.

    Raises:
        InvalidSettings: it names something else.
    """
    named = [each.strip() for each in setting.split(",")]
    found = tuple(source for each in named for source in get_args(Source) if source == each)
    if len(found) != len(named):
        raise InvalidSettings(f"sources are {', '.join(PREFERENCE)}; got {setting!r}")
    return found


def candidates_of(
    project: int,
    *,
    store: AnnotationStore,
    engine: Engine,
    tags: ControlTags,
    prefer: Sequence[Source],
) -> tuple[list[Candidate], list[Excluded]]:
    """What may become an item of a project's dataset version, and what is left out with its reason."""
    records = ReadingRecords(engine)
    double = records.find_or_none(project)
    singles: dict[int, list[Correction]] = {}
    for correction in store.corrections(project):
        singles.setdefault(correction.task_id, []).append(correction)
    found: list[Candidate] = []
    excluded: list[Excluded] = []
    if double is not None:
        for case in cases_of(double, corrections=store.corrections, records=records, tags=tags).cases:
            said = list(_said(case, singles.pop(case.id, [])))
            chosen = _choose(case, double, said, prefer, tags)
            found += chosen
            excluded += _left_out(said, chosen, disputed=_is_disputed(case, prefer))
    for task, corrections in singles.items():
        if "single" in prefer:
            found += [Candidate(correction=each, source="single", task=task) for each in corrections]
        else:
            excluded += [
                _out(each, "source_not_used", "single annotations are not used") for each in corrections
            ]
    found.sort(key=lambda each: (each.correction.task_id, each.correction.annotation_id))
    return found, excluded


def _said(case: Case, own: Sequence[Correction]) -> Iterator[Correction]:
    """Every annotation of an image: the project's own, the readers' in all rounds, and the arbiter's."""
    yield from own
    for readings in case.rounds:
        yield from (each for each in readings if each is not None)
    if case.arbiter is not None:
        yield case.arbiter


def _choose(
    case: Case,
    double: DoubleReading,
    said: Sequence[Correction],
    prefer: Sequence[Source],
    tags: ControlTags,
) -> list[Candidate]:
    """The candidates of the best source that has spoken; none where two readers dispute the image."""
    if _is_disputed(case, prefer):
        return []
    for source in prefer:
        if source == "arbiter" and case.arbiter is not None:
            return [Candidate(correction=case.arbiter, source=source, task=case.id, basis=source)]
        if source == "consensus" and case.agreement is not None and case.agreement.agreed:
            assert case.readings is not None
            first, second = case.readings
            return [
                Candidate(
                    correction=first,
                    source=source,
                    task=case.id,
                    origins=(first, second),
                    findings=partial(consensus_of, case, rules=double.rules, tags=tags),
                    basis=f"{source} {double.rules.digest} {second.content_hash}",
                )
            ]
        if source == "single":
            singles = [each for each in said if each is not case.arbiter]
            if singles:
                return [Candidate(correction=each, source=source, task=case.id) for each in singles]
    return []


def _is_disputed(case: Case, prefer: Sequence[Source]) -> bool:
    """Two have read and do not agree, and there is no arbiter's word that may be used."""
    agreed = case.agreement is not None and case.agreement.agreed
    answered = case.arbiter is not None and "arbiter" in prefer
    return case.decisive_round is not None and not agreed and not answered


def _left_out(
    said: Sequence[Correction], chosen: Sequence[Candidate], *, disputed: bool
) -> Iterator[Excluded]:
    used = {each.annotation_id for made in chosen for each in (made.correction, *made.origins)}
    for each in said:
        if each.annotation_id in used:
            continue
        if chosen:
            by = chosen[0].source
            yield _out(each, "superseded", f"the {by} of the same image counts")
        elif disputed:
            yield _out(each, "disputed", "two readers do not agree on the image; it waits for the arbiter")
        else:
            yield _out(each, "source_not_used", "annotations of this source are not used")


def _out(correction: Correction, code: str, reason: str) -> Excluded:
    return Excluded(
        task_id=correction.task_id, annotation_id=correction.annotation_id, code=code, reason=reason
    )


def hold_back(items: Sequence[Item]) -> tuple[tuple[Item, ...], list[Excluded]]:
    """Leave out what no person has looked at and that would be tested on: a model does not judge itself."""
    unseen = [item for item in items if item.annotator == AUTOMATIC and item.fold != "train"]
    left_out = [
        Excluded(
            task_id=item.task_id,
            annotation_id=item.annotation_id,
            code=AUTOMATIC,
            reason="no person has looked at it, and its patient is held out",
        )
        for item in unseen
    ]
    return tuple(item for item in items if item not in unseen), left_out
