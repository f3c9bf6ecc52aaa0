"""`yolo-mlsam trace` and `yolo-mlsam effort`: the origin of a correction, and the cost of corrections."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import typer
from rich.table import Table
from rich.tree import Tree

from cli.text_console import text_console
from mammo.efforts.edit_effort import WordCounts
from mammo.efforts.effort_records import GROUPS, grouped
from mammo.lenient_json import dumps
from mammo.printable import printable
from mammo.site import Site
from mammo.trace import HistoryEntry, Trace


def trace_command(annotation: int, *, comments: bool, as_json: bool) -> None:
    """Print the history of one annotation, with what people wrote about findings if `comments` is set."""
    with Site.load() as site:
        trace = site.trace(annotation, comments=comments)
    console = text_console()
    if as_json:
        console.print_json(dumps(trace.to_json()).decode())
    else:
        console.print(_tree(trace))


def effort_command(projects: Sequence[int], *, by: Sequence[str], as_json: bool) -> None:
    """Print the edit effort of some projects, one row per group."""
    if unknown := [name for name in by if name not in GROUPS]:
        raise typer.BadParameter(
            f"cannot group by {', '.join(unknown)}; allowed are {', '.join(GROUPS)}", param_hint="--by"
        )
    with Site.load() as site:
        efforts = {project: site.efforts(project) for project in projects or site.store.projects()}
    groups = grouped((record for each in efforts.values() for record in each.records), by)
    for project, effort in efforts.items():
        for each in effort.unreadable:
            typer.echo(
                f"not counted: annotation {each.annotation} of task {each.task}, project {project}: {each.reason}",
                err=True,
            )
    console = text_console()
    if as_json:
        rows = [dict(zip(by, group, strict=True)) | summary.to_json() for group, summary in groups.items()]
        console.print_json(dumps(rows).decode())
        return
    columns = ("images", "accepted", "Dice", "added/image", "deleted/image", "crumbs", "median s", "hasty")
    described = any(summary.words for summary in groups.values())
    table = Table(*by, *columns, *(["words given/changed/removed/accepted"] if described else []))
    for group, summary in groups.items():
        cells = (
            summary.images,
            _percent(summary.accept_rate),
            _format(summary.dice, "{:.2f}"),
            f"{summary.added_per_image:.2f}",
            f"{summary.deleted_per_image:.2f}",
            summary.crumbs,
            _format(summary.lead_time, "{:.0f}"),
            summary.hasty,
            *([words_cell(summary.words)] if described else []),
        )
        table.add_row(*group, *map(str, cells))
    console.print(table if groups else "there are no corrections yet")


def words_cell(words: Mapping[str, WordCounts]) -> str:
    """Return what became of words, a line per descriptor, such as `morphology 3/0/0/1`."""
    return "\n".join(f"{name} {'/'.join(map(str, counts))}" for name, counts in words.items())


def _tree(trace: Trace) -> Tree:
    state = "current" if trace.present else "deleted or skipped"
    if trace.automatic:
        state += ", submitted automatically and unchanged"
    patient = f" · patient {printable(trace.patient)}" if trace.patient else ""
    tree = Tree(
        f"annotation {trace.annotation} · task {trace.task} · project {trace.project}{patient} · {state}"
    )
    _add_prelabel(tree, trace)
    corrections = tree.add("corrections")
    for entry in trace.history:
        _add_entry(corrections, entry)
    if trace.second_looks:
        looks = tree.add("second looks")
        for look in trace.second_looks:
            looks.add(f"{look['cause']} {look['image']}, score {look['score']:.2f}: {look['state']}")
    trainings = tree.add("trained on" if trace.dataset_uses else "not in any dataset version yet")
    for training in trace.dataset_uses:
        revision = "this revision" if training.current else "an older revision"
        branch = trainings.add(f"dataset version {training.dataset_version[:12]} ({revision})")
        for model in training.model_versions:
            served = ", was champion" if model["champion"] else ""
            branch.add(f"run {model['run']}, recipe {model['recipe']} -> {model['version']}{served}")
    return tree


def _add_prelabel(tree: Tree, trace: Trace) -> None:
    prelabel = trace.prelabel
    if prelabel is None:
        tree.add("no prelabel is stored: read without one")
        return
    branch = tree.add(
        f"prelabel of {prelabel.model_version}, {prelabel.created_at:%Y-%m-%d %H:%M}, certainty {prelabel.score:.2f}"
    )
    if prelabel.problem:
        branch.add(f"cannot be read: {prelabel.problem}")
    for finding in prelabel.findings:
        branch.add(
            f"{_on(finding['image'])}{finding['id']}: box {finding['box']}, score {finding['score']:.2f}, "
            f"prompts {finding['prompts']}"
        )
    if prelabel.num_cut:
        branch.add(f"{prelabel.num_cut} findings of lower score were not shown")


def _add_entry(tree: Tree, entry: HistoryEntry) -> None:
    moment = entry.updated_at or entry.received_at
    time = f", {entry.lead_time:.0f} s" if entry.lead_time is not None else ""
    skipped = ", skipped" if entry.cancelled else ""
    branch = tree.add(f"{moment:%Y-%m-%d %H:%M:%S} {entry.action} by {entry.annotator}{time}{skipped}")
    if entry.problem:
        branch.add(f"cannot be read: {entry.problem}; no model learns from it")
    for change in entry.changes or []:
        details = [change.note] if change.note else []
        if change.dice is not None:
            details.append(f"Dice {change.dice:.3f}")
        if change.boundary_shift is not None:
            details.append(f"outline {change.boundary_shift:.1f} px")
        stated = dict(entry.descriptors.get(change.finding, {}))
        lesion = stated.pop("lesion", "")
        suspicion = stated.pop("suspicion", "")
        comment = entry.comments.get(change.finding)
        details += [
            *stated.values(),
            *([f"BI-RADS {suspicion}"] if suspicion else []),
            *(
                [f"comment: {comment}" if comment else "a comment"]
                if change.finding in entry.comments
                else []
            ),
            *([f"same lesion as {lesion}"] if lesion not in ("", change.finding) else []),
        ]
        branch.add(
            f"{_on(change.image)}{change.finding or '(no id)'}: {change.kind}"
            + (f" ({', '.join(details)})" if details else "")
        )
    for name, word in entry.exam.items():
        branch.add(f"{name}: {word}")
    if entry.crumbs:
        branch.add(f"{entry.crumbs} parts were too small to be drawn on purpose and were left out")


def _on(image: str) -> str:
    return f"{image} " if image else ""


def _percent(part: float | None) -> str:
    return "-" if part is None else f"{part:.0%}"


def _format(value: float | None, pattern: str) -> str:
    return "-" if value is None else pattern.format(value)
