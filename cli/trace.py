"""`yolo-mlsam trace` and `yolo-mlsam effort`: where a correction came from, and what corrections cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

import orjson
import typer
from rich.console import Console
from rich.table import Table
from rich.tree import Tree

from mammo.efforts.effort_records import GROUPS, grouped
from mammo.site import Site
from mammo.trace import HistoryEntry, Trace


def trace_command(annotation: int, *, as_json: bool) -> None:
    """Print the chain of one annotation."""
    with Site.load() as site:
        found = site.trace(annotation)
    console = Console()
    if as_json:
        console.print_json(orjson.dumps(found.to_json()).decode())
    else:
        console.print(_tree(found))


def effort_command(projects: Sequence[int], *, by: Sequence[str], as_json: bool) -> None:
    """Print what the corrections of some projects cost, a row per group."""
    if unknown := [name for name in by if name not in GROUPS]:
        raise typer.BadParameter(
            f"cannot group by {', '.join(unknown)}; possible are {', '.join(GROUPS)}", param_hint="--by"
        )
    with Site.load() as site:
        efforts = {project: site.efforts(project) for project in projects or site.store.projects()}
    groups = grouped((record for each in efforts.values() for record in each.records), by)
    for project, found in efforts.items():
        for each in found.unreadable:
            typer.echo(
                f"not counted: annotation {each.annotation} of task {each.task}, project {project}: {each.reason}",
                err=True,
            )
    console = Console()
    if as_json:
        rows = [dict(zip(by, group, strict=True)) | asdict(summary) for group, summary in groups.items()]
        console.print_json(orjson.dumps(rows).decode())
        return
    columns = ("images", "accepted", "Dice", "added/image", "deleted/image", "crumbs", "median s", "hasty")
    table = Table(*by, *columns)
    for group, summary in groups.items():
        cells = (
            summary.images,
            _percent(summary.accept_rate),
            _shown(summary.dice, "{:.2f}"),
            f"{summary.added_per_image:.2f}",
            f"{summary.deleted_per_image:.2f}",
            summary.crumbs,
            _shown(summary.lead_time, "{:.0f}"),
            summary.hasty,
        )
        table.add_row(*group, *map(str, cells))
    console.print(table if groups else "there are no corrections yet")


def _tree(found: Trace) -> Tree:
    state = "part of the current view" if found.present else "deleted or skipped"
    if found.automatic:
        state += ", submitted by the service and changed by nobody"
    tree = Tree(f"annotation {found.annotation} · task {found.task} · project {found.project} · {state}")
    if found.prelabel is None:
        tree.add("no prelabel: read without help, as far as is known")
    else:
        shown = found.prelabel
        text = (
            f"prelabel of {shown.model_version}, {shown.created_at:%Y-%m-%d %H:%M}, score {shown.score:.2f}"
        )
        branch = tree.add(text)
        if shown.problem:
            branch.add(f"cannot be read: {shown.problem}")
        for finding in shown.findings:
            branch.add(
                f"{_on(finding['image'])}{finding['id']}: box {finding['box']}, score {finding['score']:.2f}, "
                f"prompts {finding['prompts']}"
            )
    corrections = tree.add("corrections")
    for deed in found.history:
        _add_deed(corrections, deed)
    trainings = tree.add("trained on" if found.dataset_uses else "not in any dataset version yet")
    for training in found.dataset_uses:
        revision = "this revision" if training.current else "an older revision"
        branch = trainings.add(f"dataset version {training.dataset_version[:12]} ({revision})")
        for model in training.model_versions:
            served = ", has served" if model["champion"] else ""
            branch.add(f"run {model['run']}, recipe {model['recipe']} -> {model['version']}{served}")
    return tree


def _add_deed(tree: Tree, deed: HistoryEntry) -> None:
    moment = deed.updated_at or deed.received_at
    time = f", {deed.lead_time:.0f} s" if deed.lead_time is not None else ""
    skipped = ", skipped" if deed.cancelled else ""
    branch = tree.add(f"{moment:%Y-%m-%d %H:%M:%S} {deed.action} by {deed.annotator}{time}{skipped}")
    if deed.problem:
        branch.add(f"cannot be read: {deed.problem}")
    for change in deed.changes or []:
        details = [change.note] if change.note else []
        if change.dice is not None:
            details.append(f"Dice {change.dice:.3f}")
        if change.boundary_shift is not None:
            details.append(f"outline {change.boundary_shift:.1f} px")
        branch.add(
            f"{_on(change.image)}{change.finding or '(no id)'}: {change.kind}"
            + (f" ({', '.join(details)})" if details else "")
        )
    if deed.crumbs:
        branch.add(f"{deed.crumbs} parts too small to be seen or meant were left out")
    if deed.problem:
        branch.add(f"cannot be read, so nothing is learned from it: {deed.problem}")


def _on(image: str) -> str:
    return f"{image} " if image else ""


def _percent(part: float | None) -> str:
    return "-" if part is None else f"{part:.0%}"


def _shown(value: float | None, pattern: str) -> str:
    return "-" if value is None else pattern.format(value)
