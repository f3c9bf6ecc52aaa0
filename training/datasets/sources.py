"""Sources of truth: the annotations of an image that a dataset version may use.

A project without a double reading has single annotations only. In a double reading, the truth of an image is the
arbiter's answer or the consensus of two readers. An image that the readers dispute has no truth until the arbiter
answers. An image that one reader or nobody has read has single annotations: the reader's and the project's own.
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
"""Default preference of sources, best first."""


@dataclass(frozen=True, kw_only=True)
class ReadOptions:
    """Rules by which the annotations of a project become the items of a dataset version."""

    tags: ControlTags
    """Labels and prompt controls of the project."""

    prefer: Sequence[Source]
    """Sources that may be used for an image, best first. An image that two readers dispute waits for the arbiter,
    whatever is preferred."""

    with_automatic: bool
    """Whether to include annotations that no person has reviewed; they are only trained on, never tested on."""

    secret: bytes = b""
    """Key of the pseudonyms of annotators and studies."""


@dataclass(frozen=True, kw_only=True)
class Excluded:
    """A correction that a dataset version does not use."""

    task_id: int
    annotation_id: int
    code: str
    """Stable: an error's code, `image_changed`, `other_size`, `superseded`, `automatic`, `disputed` or
    `source_not_used`."""

    reason: str
    """A sentence for the user. It is part of the manifest: another wording gives the dataset version another name."""

    @classmethod
    def of(cls, correction: Correction | Item, code: str, reason: str) -> Excluded:
        return cls(
            task_id=correction.task_id, annotation_id=correction.annotation_id, code=code, reason=reason
        )


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """An annotation, or the consensus of two, that may become an item."""

    correction: Correction
    """The annotation; of a consensus, that of the first reader, for its image."""

    source: Source
    task: int
    """The task of the project that shows the image."""

    origins: tuple[Correction, Correction] | tuple[()] = ()
    """Both readings of a consensus; empty otherwise."""

    findings: Callable[[str], list[Finding]] | None = None
    """Computes the truth of a consensus on an image, by its key; may raise InvalidRegion. None: the findings of the
    correction."""

    basis: str = "single"
    """Identifies the source, and all that a consensus depends on besides the correction."""


def preference(setting: str) -> tuple[Source, ...]:
    """Parse `Settings.dataset_sources`.

    Raises:
        InvalidSettings: it names an unknown source.
    """
    names = [each.strip() for each in setting.split(",")]
    sources = tuple(source for name in names for source in get_args(Source) if source == name)
    if len(sources) != len(names):
        raise InvalidSettings(f"sources are {', '.join(PREFERENCE)}; got {setting!r}")
    return sources


def candidates_of(
    project: int,
    *,
    store: AnnotationStore,
    engine: Engine,
    options: ReadOptions,
) -> tuple[list[Candidate], list[Excluded]]:
    """The candidates for a project's dataset version, and the annotations that are excluded."""
    tags, prefer = options.tags, options.prefer
    records = ReadingRecords(engine)
    double = records.find_or_none(project)
    singles: dict[int, list[Correction]] = {}
    for correction in store.corrections(project):
        singles.setdefault(correction.task_id, []).append(correction)
    candidates: list[Candidate] = []
    excluded: list[Excluded] = []
    if double is not None:
        cases = cases_of(
            double, corrections=store.corrections, sizes=store.image_sizes, records=records, tags=tags
        )
        for case in cases.cases:
            annotations = list(_annotations_of(case, singles.pop(case.id, [])))
            chosen = _choose(case, double, annotations, prefer, tags)
            candidates += chosen
            excluded += _unused(annotations, chosen, disputed=_is_disputed(case, prefer))
    for task, corrections in singles.items():
        if "single" in prefer:
            candidates += [Candidate(correction=each, source="single", task=task) for each in corrections]
        else:
            excluded += [
                Excluded.of(each, "source_not_used", "single annotations are not used")
                for each in corrections
            ]
    candidates.sort(key=lambda each: (each.correction.task_id, each.correction.annotation_id))
    return candidates, excluded


def _annotations_of(case: Case, own: Sequence[Correction]) -> Iterator[Correction]:
    """Every annotation of an image: the project's own, the readers' of all rounds, and the arbiter's."""
    yield from own
    for readings in case.rounds:
        yield from (each for each in readings if each is not None)
    if case.arbiter is not None:
        yield case.arbiter


def _choose(
    case: Case,
    double: DoubleReading,
    annotations: Sequence[Correction],
    prefer: Sequence[Source],
    tags: ControlTags,
) -> list[Candidate]:
    """The candidates of the best available source; none if two readers dispute the image."""
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
            singles = [each for each in annotations if each is not case.arbiter]
            if singles:
                return [Candidate(correction=each, source=source, task=case.id) for each in singles]
    return []


def _is_disputed(case: Case, prefer: Sequence[Source]) -> bool:
    """Whether two readers disagree and there is no arbiter's answer that may be used."""
    agreed = case.agreement is not None and case.agreement.agreed
    answered = case.arbiter is not None and "arbiter" in prefer
    return case.decisive_round is not None and not agreed and not answered


def _unused(
    annotations: Sequence[Correction], chosen: Sequence[Candidate], *, disputed: bool
) -> Iterator[Excluded]:
    used = {each.annotation_id for candidate in chosen for each in (candidate.correction, *candidate.origins)}
    for each in annotations:
        if each.annotation_id in used:
            continue
        if chosen:
            yield Excluded.of(each, "superseded", f"the {chosen[0].source} of the same image counts")
        elif disputed:
            reason = "two readers do not agree on the image; it waits for the arbiter"
            yield Excluded.of(each, "disputed", reason)
        else:
            yield Excluded.of(each, "source_not_used", "annotations of this source are not used")


def hold_back(items: Sequence[Item]) -> tuple[list[Item], list[Excluded]]:
    """Exclude automatic items of held-out patients: a model must not be evaluated on its own output."""
    reason = "no person has looked at it, and its patient is held out"
    usable, excluded = [], []
    for item in items:
        if item.annotator == AUTOMATIC and item.fold != "train":
            excluded.append(Excluded.of(item, AUTOMATIC, reason))
        else:
            usable.append(item)
    return usable, excluded
