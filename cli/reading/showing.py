"""What is printed of double readings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
import typer
from rich.console import Console
from rich.table import Table

from mammo.readings import Summary, summarise
from mammo.site import Site

NEXT = {
    "second-look": "`reading second-look` gives them to both readers again",
    "arbitrate": "`reading arbitrate` gives them to the arbiter",
}


def status_command(project: int, *, as_json: bool) -> None:
    """How far a double reading is."""
    found = _summary(project)
    console = Console(soft_wrap=True)
    if as_json:
        console.print_json(orjson.dumps(found.to_json()).decode())
        return
    desks = Table("role", "round", "project", "tasks")
    for (role, number), desk in sorted(found.double.projects.items()):
        desks.add_row(role, str(number), str(desk.id), str(len(desk.tasks)))
    console.print(desks)
    console.print(", ".join(f"{count} {name}" for name, count in found.outcomes.items()) or "no cases yet")
    for name, count in found.waiting_for.items():
        console.print(f"{count} wait for {NEXT.get(name, name)}")
    for who, count in found.ignored.items():
        console.print(
            f"{count} annotations in the project of {who} are by another account: they do not count"
        )


def agreement_command(project: int, *, as_json: bool) -> None:
    """How well two readers agree."""
    found = _summary(project)
    console = Console(soft_wrap=True)
    if as_json:
        console.print_json(orjson.dumps(found.to_json()).decode())
        return
    table = Table("case", "outcome", "round", "worst Dice", "against")
    for case in found.cases:
        agreement = case.agreement
        dice = f"{agreement.worst_dice:.3f}" if agreement else "-"
        against = ", ".join(agreement.disagreements) if agreement else case.problem
        table.add_row(str(case.id), case.outcome, str(case.decisive_round or "-"), dice, against)
    console.print(table)
    lesions, kappa = found.lesions, found.kappa
    console.print(
        f"{lesions.cases} cases read by both: {lesions.both} lesions seen by both, {lesions.only_first} by reader 1 "
        f"alone, {lesions.only_second} by reader 2 alone"
    )
    console.print(
        f"mean Dice {_shown(lesions.mean_dice)}, mean distance of outlines {_shown(lesions.mean_boundary_mm)} mm "
        f"({_shown(lesions.mean_boundary_px)} px)"
    )
    console.print(
        f"Cohen's kappa of round 1 over {kappa.patients} patients: {_shown(kappa.value)} "
        f"(agreed on {_shown(kappa.observed)})"
    )


def rules_command(project: int, *, changes: Mapping[str, Any]) -> None:
    """Print the rules, after changing those that are named."""
    with Site.load() as site:
        records = site.reading_records
        try:
            double = records.change_rules(project, **changes) if changes else records.find(project)
        except ValueError as error:
            raise typer.BadParameter(str(error)) from None
    for name, value in double.rules.to_json().items():
        typer.echo(f"{name}: {value}")


def list_command() -> None:
    """Print the projects that are read twice."""
    with Site.load() as site:
        records = site.reading_records
        sources = records.sources()
        for source in sources:
            made = ", ".join(map(str, records.find(source).project_ids))
            typer.echo(f"project {source}: read in projects {made or 'that are not made yet'}")
    if not sources:
        typer.echo("no project is read twice")


def _summary(project: int) -> Summary:
    with Site.load() as site:
        room = site.readings()
        return summarise(room.records.find(project), room.cases(project))


def _shown(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
