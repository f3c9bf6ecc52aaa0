"""Reader projects in Label Studio and their tasks; every operation can be interrupted and repeated.

Label Studio's state decides, not our records: a project is recognised by its title and description, a task by the case
that its data names. After an interruption, the next run finds what exists and creates what is missing.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mammo.errors import ReadingConflict
from mammo.labelstudio.client import LabelStudioClient
from mammo.readings.records import ARBITER, Role

CASE_KEY = "reading_case"
"""Key in a task's data: the case, as `source/case`."""

BASIS_KEY = "reading_basis"
"""Key in the data of an arbiter's task: digest of the readings that the task is about."""


@dataclass(frozen=True, kw_only=True)
class TaskSpec:
    """A task that has to exist."""

    data: Mapping[str, Any]
    """Data of the task in the source project."""

    predictions: Callable[[], Sequence[Mapping[str, Any]]] = tuple
    """Builds the predictions; called only if the task is created."""

    basis: str = ""
    """Digest of what the task was built from; an untouched task with another basis is replaced."""


@dataclass(frozen=True)
class SyncedTasks:
    """Tasks of a reader project after synchronisation."""

    tasks: Mapping[int, int]
    """Task by case."""

    added: int = 0
    """Tasks created."""

    removed: int = 0
    """Untouched tasks deleted: duplicates, and tasks that are no longer needed."""


@dataclass
class _Listing:
    """Tasks of a reader project that name a case of the source project."""

    by_case: dict[int, dict[str, Any]] = field(default_factory=dict)
    duplicates: list[dict[str, Any]] = field(default_factory=list)


def title_of(source: int, role: Role, round_number: int) -> str:
    """Return the title of a reader project; it states the role but not the person."""
    suffix = f", round {round_number}" if round_number > 1 else ""
    return f"Double reading {source}: {'arbiter' if role == ARBITER else role.replace('-', ' ')}{suffix}"


def open_reader_project(
    client: LabelStudioClient,
    source: int,
    role: Role,
    round_number: int,
    *,
    config: str,
    recorded: int | None = None,
) -> int:
    """Return the id of a reader project; create it if it is missing, and update its labeling config.

    Args:
        config: Labeling config of the source project.
        recorded: The project's id in our records; None if it is not recorded.

    Raises:
        ReadingConflict: A project with the same title exists and was not created for this double reading.
    """
    title = title_of(source, role, round_number)
    description = f"Made by yolo-mlsam for the double reading of project {source}."
    project = recorded or client.find_project(title)
    if project is None:
        return client.create_project(title, config, description=description, show_collab_predictions=True)
    existing = client.project(project)
    if recorded is None and description not in (existing.get("description") or ""):
        raise ReadingConflict(
            f"project {project} is titled {title!r} and was not created for this double reading; rename it"
        )
    if existing["label_config"] != config:
        client.update_project(project, label_config=config)
    return project


def sync_tasks(
    client: LabelStudioClient,
    source: int,
    project: int,
    *,
    specs: Mapping[int, TaskSpec],
    withdrawn: Iterable[int] = (),
    order_key: bytes,
) -> SyncedTasks:
    """Create each missing task exactly once; a task with an annotation or a draft is never touched.

    Args:
        specs: Required tasks by case; tasks of other cases stay as they are.
        withdrawn: Cases whose untouched task is deleted.
        order_key: Key of the pseudo-random order in which new tasks are created.
    """
    listing = _list_tasks(client, source, project)
    obsolete = [task for task in listing.duplicates if _is_untouched(client, task)]
    withdrawn = set(withdrawn)
    for case, task in list(listing.by_case.items()):
        is_outdated = case in specs and task["data"].get(BASIS_KEY, "") != specs[case].basis
        if (is_outdated or case in withdrawn) and _is_untouched(client, task):
            obsolete.append(task)
            del listing.by_case[case]
    for task in obsolete:
        client.delete_task(task["id"])
    missing = sorted(specs.keys() - listing.by_case.keys(), key=lambda case: _order(order_key, case))
    if missing:
        data = [_task_data(source, case, specs[case]) for case in missing]
        predictions = [specs[case].predictions() for case in missing]
        client.import_tasks(project, data, predictions=predictions if any(predictions) else ())
        listing = _list_tasks(client, source, project)  # the import does not say which task shows which case
    tasks = {case: int(task["id"]) for case, task in listing.by_case.items()}
    return SyncedTasks(tasks, added=len(missing), removed=len(obsolete))


def show_version(client: LabelStudioClient, project: int, version: str) -> None:
    """Make a project show the predictions of a model version; it must have at least one of them."""
    if client.project(project).get("model_version") != version:
        client.update_project(project, model_version=version)


def _list_tasks(client: LabelStudioClient, source: int, project: int) -> _Listing:
    """List the tasks by case. The oldest task of a case counts; an import of a killed run can arrive after the next
    run has listed the tasks, which leaves duplicates."""
    listing = _Listing()
    for task in sorted(client.tasks(project), key=lambda task: int(task["id"])):
        case = _case_of(task, source)
        if case is None:
            continue
        if case in listing.by_case:
            listing.duplicates.append(task)
        else:
            listing.by_case[case] = task
    return listing


def _case_of(task: Mapping[str, Any], source: int) -> int | None:
    """Return the case that a task names; None if it names none of this source project."""
    named_source, _, case = str(task["data"].get(CASE_KEY, "")).partition("/")
    return int(case) if named_source == str(source) and case.isdigit() else None


def _task_data(source: int, case: int, spec: TaskSpec) -> dict[str, Any]:
    return {**spec.data, CASE_KEY: f"{source}/{case}"} | ({BASIS_KEY: spec.basis} if spec.basis else {})


def _is_untouched(client: LabelStudioClient, task: Mapping[str, Any]) -> bool:
    """Return whether a task has neither annotations nor drafts."""
    task_id = int(task["id"])
    return not client.annotations(task_id) and not client.drafts(task_id)


def _order(key: bytes, case: int) -> bytes:
    return hmac.new(key, str(case).encode(), hashlib.sha256).digest()
