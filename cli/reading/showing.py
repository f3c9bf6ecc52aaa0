"""Printed reports of double readings."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import orjson
import typer
from rich.console import Console
from rich.table import Table

from cli.text_console import text_console
from mammo.readings import Summary, summarise
from mammo.readings.descriptor_agreement import DescriptorAgreement
from mammo.site import Site

NEXT = {
    "second-look": "`reading second-look`, which sends them back to both readers",
    "arbitrate": "`reading arbitrate`, which sends them to the arbiter",
}

MAX_PAIRS = 3
"""Most frequent pairs of different words that are printed of a descriptor."""


def status_command(project: int, *, as_json: bool) -> None:
    """Print the progress of a double reading."""
    summary = _summary(project)
    console = text_console(soft_wrap=True)
    if as_json:
        console.print_json(orjson.dumps(summary.to_json()).decode())
        return
    projects = Table("role", "round", "project", "tasks")
    for (role, number), reader_project in sorted(summary.double.projects.items()):
        projects.add_row(role, str(number), str(reader_project.id), str(len(reader_project.tasks)))
    console.print(projects)
    console.print(", ".join(f"{count} {name}" for name, count in summary.outcomes.items()) or "no cases yet")
    for name, count in summary.waiting_for.items():
        console.print(f"{count} cases wait for {NEXT.get(name, name)}")
    for who, count in summary.ignored.items():
        console.print(f"{count} annotations in the project of {who} are by another account and do not count")


def agreement_command(project: int, *, as_json: bool) -> None:
    """Print the agreement of the two readers."""
    summary = _summary(project)
    console = text_console(soft_wrap=True)
    if as_json:
        console.print_json(orjson.dumps(summary.to_json()).decode())
        return
    table = Table("case", "outcome", "round", "worst Dice", "against")
    for case in summary.cases:
        agreement = case.agreement
        dice = f"{agreement.worst_dice:.3f}" if agreement else "-"
        against = ", ".join(agreement.disagreements) if agreement else case.problem
        table.add_row(str(case.id), case.outcome, str(case.decisive_round or "-"), dice, against)
    console.print(table)
    lesions, kappa = summary.lesions, summary.kappa
    console.print(
        f"{lesions.cases} cases read by both: {lesions.both} lesions seen by both, {lesions.only_first} only by "
        f"reader 1, {lesions.only_second} only by reader 2"
    )
    console.print(
        f"mean Dice {_format(lesions.mean_dice)}, mean distance of outlines {_format(lesions.mean_boundary_mm)} mm "
        f"({_format(lesions.mean_boundary_px)} px)"
    )
    console.print(
        f"Cohen's kappa of round 1 over {kappa.patients} patients: {summary.kappa_interval} "
        f"(observed agreement {_format(kappa.observed)})"
    )
    print_descriptors(summary.descriptors, console)


def print_descriptors(descriptors: Sequence[DescriptorAgreement], console: Console) -> None:
    """Print the agreement on each descriptor; nothing without descriptors."""
    if not descriptors:
        return
    ordered = ("weighted kappa",) if any(each.weighted for each in descriptors) else ()
    table = Table(
        "descriptor",
        "both say",
        "reader 1 only",
        "reader 2 only",
        "same word",
        "kappa (95 % interval)",
        *ordered,
    )
    for each in descriptors:
        counts = map(str, (each.compared, each.only_first, each.only_second))
        weighted = [str(each.weighted or "")] if ordered else []
        table.add_row(each.name, *counts, _format(each.observed), str(each.kappa), *weighted)
    console.print(table)
    for each in descriptors:
        different = Counter({pair: number for pair, number in each.table.items() if pair[0] != pair[1]})
        for (first, second), number in different.most_common(MAX_PAIRS):
            console.print(f"{each.name}: {number} x reader 1 {first}, reader 2 {second}")


def rules_command(project: int, *, changes: Mapping[str, Any]) -> None:
    """Print the rules, after applying `changes`."""
    with Site.load() as site:
        records = site.reading_records
        try:
            double = records.change_rules(project, **changes) if changes else records.find(project)
        except ValueError as error:
            raise typer.BadParameter(str(error)) from None
    for name, value in double.rules.to_json().items():
        typer.echo(f"{name}: {value}")


def list_command() -> None:
    """Print the projects with a double reading."""
    with Site.load() as site:
        records = site.reading_records
        sources = records.sources()
        for source in sources:
            projects = ", ".join(map(str, records.find(source).project_ids))
            typer.echo(f"project {source}: read in projects {projects or '(not created yet)'}")
    if not sources:
        typer.echo("no project has a double reading; `yolo-mlsam reading create` begins one")


def _summary(project: int) -> Summary:
    with Site.load() as site:
        readings = site.readings()
        return summarise(readings.records.find(project), readings.cases(project))


def _format(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
