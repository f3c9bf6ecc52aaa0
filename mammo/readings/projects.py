"""Desks in Label Studio: the projects of readers and arbiter, and the tasks in them, made once and found again.

What is there is told by Label Studio, not by our own notes: a project by its title and description, a task by the
case that its data names. So whatever was interrupted, the next run finds what is made and makes what is missing.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mammo.errors import ReadingConflict
from mammo.labelstudio.client import LabelStudioClient
from mammo.readings.records import ARBITER, Role

CASE_KEY = "reading_case"
"""Names the case, in a task's data."""

BASIS_KEY = "reading_basis"
"""Names the readings that a task of the arbiter is about."""


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """A task that has to be there."""

    data: Mapping[str, Any]
    """Of the task in the source project."""

    predictions: Callable[[], Sequence[Mapping[str, Any]]] = tuple
    """Made only for a task that is made."""

    basis: str = ""
    """What it was made from; a task of another basis that nobody has begun is made anew."""


@dataclass(frozen=True)
class Kept:
    """The tasks of a project, after they were put in step."""

    tasks: Mapping[int, int]
    """Case to task."""

    added: int = 0
    removed: int = 0
    """Tasks that nobody had begun: a second one for a case, or one that is not asked for any more."""


@dataclass
class _Listing:
    first: dict[int, dict[str, Any]] = field(default_factory=dict)
    again: list[dict[str, Any]] = field(default_factory=list)


def title_of(source: int, role: Role, number: int) -> str:
    """Title of a project; tells the role and never who has it."""
    later = f", round {number}" if number > 1 else ""
    return f"Double reading {source}: {'arbiter' if role == ARBITER else role.replace('-', ' ')}{later}"


def open_worklist(
    client: LabelStudioClient, source: int, role: Role, number: int, *, config: str, known: int | None = None
) -> int:
    """The project of a role and round, made when it is missing, with the source's labeling config.

    Args:
        known: the project as our records have it.

    Raises:
        ReadingConflict: a project has its title and was not made by us.
    """
    title, mark = (
        title_of(source, role, number),
        f"Made by yolo-mlsam for the double reading of project {source}.",
    )
    found = known or client.find_project(title)
    if found is None:
        return client.create_project(title, config, description=mark, show_collab_predictions=True)
    there = client.project(found)
    if known is None and mark not in (there.get("description") or ""):
        raise ReadingConflict(f"project {found} is called {title!r} and is not ours; give it another title")
    if there["label_config"] != config:
        client.update_project(found, label_config=config)
    return found


def keep_tasks(
    client: LabelStudioClient,
    source: int,
    project: int,
    *,
    wanted: Mapping[int, Wanted],
    withdrawn: Iterable[int] = (),
    order: bytes,
) -> Kept:
    """Make each task that is wanted and missing, exactly once; what somebody has begun is never touched.

    Args:
        wanted: by case; tasks of other cases stay as they are.
        withdrawn: cases whose task goes if nobody has begun it.
        order: key of the order in which new tasks are made, of this project alone.
    """
    listing = _listed(client, source, project)
    gone = [task for task in listing.again if _is_new(client, task)]
    withdrawn = set(withdrawn)
    for case, task in list(listing.first.items()):
        stale = case in wanted and task["data"].get(BASIS_KEY, "") != wanted[case].basis
        if (stale or case in withdrawn) and _is_new(client, task):
            gone.append(task)
            del listing.first[case]
    for task in gone:
        client.delete_task(task["id"])
    missing = sorted(wanted.keys() - listing.first.keys(), key=lambda case: _drawn(order, case))
    if missing:
        rows = [_data(source, case, wanted[case]) for case in missing]
        shown = [wanted[case].predictions() for case in missing]
        client.import_tasks(project, rows, predictions=shown if any(shown) else ())
        listing = _listed(client, source, project)  # what counts is what is there
    found = {case: int(task["id"]) for case, task in listing.first.items()}
    return Kept(found, added=len(missing), removed=len(gone))


def show_version(client: LabelStudioClient, project: int, version: str) -> None:
    """Let a project show the predictions of this version; it must have some."""
    if client.project(project).get("model_version") != version:
        client.update_project(project, model_version=version)


def _listed(client: LabelStudioClient, source: int, project: int) -> _Listing:
    """The tasks of the cases, oldest first; a killed run's import may have come after the next run had looked."""
    listing = _Listing()
    for task in sorted(client.tasks(project), key=lambda task: int(task["id"])):
        for case in _case_of(task, source):
            if case in listing.first:
                listing.again.append(task)
            else:
                listing.first[case] = task
    return listing


def _case_of(task: Mapping[str, Any], source: int) -> Iterator[int]:
    named = str(task["data"].get(CASE_KEY, ""))
    whose, _, case = named.partition("/")
    if whose == str(source) and case.isdigit():
        yield int(case)


def _data(source: int, case: int, wanted: Wanted) -> dict[str, Any]:
    named = {CASE_KEY: f"{source}/{case}"} | ({BASIS_KEY: wanted.basis} if wanted.basis else {})
    return {**wanted.data, **named}


def _is_new(client: LabelStudioClient, task: Mapping[str, Any]) -> bool:
    """Nobody has begun it."""
    number = int(task["id"])
    return not client.annotations(number) and not client.drafts(number)


def _drawn(order: bytes, case: int) -> bytes:
    return hmac.new(order, str(case).encode(), hashlib.sha256).digest()
