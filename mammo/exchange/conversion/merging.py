"""Merging: the annotations and predictions of an exam's images become those of its task.

An annotation of an exam says something about every view. So it is made only of annotations of all views: a view that
nobody has annotated must not become one on which nothing was seen.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mammo.errors import InvalidRegion
from mammo.exam_views import EXAM_VIEWS, ExamView
from mammo.exchange.conversion.translation import Translation

Views = Mapping[ExamView, Mapping[str, Any]]
"""A task of Label Studio with its annotations and predictions, by view."""


class NotMergeable(InvalidRegion):
    """The annotations of an exam's images do not make annotations of the exam."""

    code = "not_mergeable"


@dataclass(frozen=True, kw_only=True)
class MergedAnnotations:
    """The annotations of an exam."""

    annotations: tuple[dict[str, Any], ...]
    """As Label Studio imports them."""

    num_several_authors: int = 0
    """Annotations whose views were annotated by different people."""


def merged_annotations(tasks: Views, translation: Translation) -> MergedAnnotations:
    """Merge the annotations of an exam's images, reader by reader.

    Raises:
        NotMergeable: a view lacks an annotation, or the views disagree about what is one for all of them.
        InvalidRegion: a region cannot be translated; the message names the task.
    """
    readings = _readings(tasks)
    merged = [_merged(tasks, reading, translation) for reading in readings]
    several = sum(len({_author(each) for each in reading.values()}) > 1 for reading in readings)
    return MergedAnnotations(annotations=tuple(merged), num_several_authors=several)


def merged_predictions(tasks: Views, translation: Translation) -> list[dict[str, Any]]:
    """Return the predictions of an exam: of each model version that has predicted every image, its newest ones.

    A prediction with a note, that an image could not be read or that findings are left out, is not moved, nor one that
    the new config cannot show: the model predicts the exam again.
    """
    newest: dict[ExamView, dict[str, Mapping[str, Any]]] = {}
    for view, task in tasks.items():
        ordered = sorted(task.get("predictions") or (), key=lambda each: int(each["id"]))
        newest[view] = {str(each.get("model_version")): each for each in ordered}
    versions = set.intersection(*(set(each) for each in newest.values())) if newest else set()
    merged = []
    for version in sorted(versions):
        parts = {view: newest[view][version] for view in tasks}
        if any(_has_note(each, translation) for each in parts.values()):
            continue
        try:
            result = [
                region
                for view, each in parts.items()
                for region in translation(each.get("result") or [], view, redraw=False)
            ]
        except InvalidRegion:
            continue
        scores = [float(each["score"]) for each in parts.values() if each.get("score") is not None]
        score = max(scores) if scores else None
        merged.append({"model_version": version, "score": score, "result": result})
    return merged


def _readings(tasks: Views) -> list[dict[ExamView, Mapping[str, Any]]]:
    """Return the annotations that make one annotation of the exam each: one of each view."""
    by_view = {view: list(task.get("annotations") or ()) for view, task in tasks.items()}
    if not any(by_view.values()):
        return []
    authors = {_author(each) for annotations in by_view.values() for each in annotations}
    counts = [Counter(_author(each) for each in annotations) for annotations in by_view.values()]
    if all(count[author] == 1 for count in counts for author in authors):
        return [
            {
                view: next(each for each in annotations if _author(each) == author)
                for view, annotations in by_view.items()
            }
            for author in sorted(authors, key=lambda each: -1 if each is None else each)
        ]
    if all(len(annotations) == 1 for annotations in by_view.values()):
        return [{view: annotations[0] for view, annotations in by_view.items()}]
    numbers = ", ".join(
        f"task {tasks[view]['id']} has {len(by_view[view])}" for view in EXAM_VIEWS if view in tasks
    )
    raise NotMergeable(
        f"the images of an exam need annotations by the same people, or one each, but {numbers}; annotate or skip the "
        "others in the old project first"
    )


def _merged(
    tasks: Views, reading: Mapping[ExamView, Mapping[str, Any]], translation: Translation
) -> dict[str, Any]:
    skipped = {bool(each.get("was_cancelled")) for each in reading.values()}
    truths = {bool(each.get("ground_truth")) for each in reading.values()}
    for name, values in (("skipped", skipped), ("ground truth", truths)):
        if len(values) > 1:
            numbers = ", ".join(str(task["id"]) for task in tasks.values())
            raise NotMergeable(f"of the tasks {numbers}, some are {name} and others are not")
    result: list[dict[str, Any]] = []
    for view, annotation in reading.items():
        try:
            result += translation(annotation.get("result") or [], view)
        except InvalidRegion as error:
            raise InvalidRegion(f"task {tasks[view]['id']}: {error}", code=error.code) from None
    authors = {_author(each) for each in reading.values()}
    times = [each.get("lead_time") for each in reading.values()]
    known = [float(each) for each in times if isinstance(each, int | float)]
    return {
        "result": _once_per_exam(result, tasks),
        "was_cancelled": skipped.pop(),
        "ground_truth": truths.pop(),
        "lead_time": sum(known) if len(known) == len(times) else None,
        **({"completed_by": author} if len(authors) == 1 and (author := authors.pop()) is not None else {}),
    }


def _once_per_exam(result: Sequence[dict[str, Any]], tasks: Views) -> list[dict[str, Any]]:
    """Return results without repetitions of what is said about the exam; refuse contradictions."""
    kept: list[dict[str, Any]] = []
    stated: dict[tuple[str, str], dict[str, Any]] = {}
    for each in result:
        if set(each.get("value") or ()) != {
            each.get("type")
        }:  # a region, what is said about one, or a relation
            kept.append(each)
            continue
        key = str(each.get("from_name")), str(each.get("to_name"))
        first = stated.setdefault(key, each)
        if first is each:
            kept.append(each)
        elif first.get("value") != each.get("value"):
            numbers = ", ".join(str(task["id"]) for task in tasks.values())
            raise NotMergeable(f"the tasks {numbers} state different values of {key[0]!r}")
    return kept


def _author(annotation: Mapping[str, Any]) -> int | None:
    author = annotation.get("completed_by")
    author = author.get("id") if isinstance(author, Mapping) else author
    return author if isinstance(author, int) else None


def _has_note(prediction: Mapping[str, Any], translation: Translation) -> bool:
    note = translation.old.note
    return note is not None and any(
        isinstance(each, Mapping) and each.get("from_name") == note for each in prediction.get("result") or ()
    )
