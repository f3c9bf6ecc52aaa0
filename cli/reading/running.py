"""The steps of a double reading, from the command line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import typer
from rich.console import Console
from rich.text import Text

from mammo.readings import ROLES, ReadingRules, ReadingService, StepResult
from mammo.site import Site


def create_command(
    project: int, *, rules: Mapping[str, Any], emails: Mapping[str, str], s3_keys: tuple[str, str]
) -> None:
    """Begin to read a project twice, and print where each person works."""
    made = rules_of(rules)
    named = {role: emails[role] for role in ROLES if emails.get(role)}
    with Site.load() as site:
        double = site.readings(s3_keys=s3_keys).create(project, rules=made, emails=named)
    console = Console(soft_wrap=True)
    for (role, number), desk in sorted(double.projects.items()):
        who = "" if role in double.users else " (anybody's annotations count: no account was named)"
        console.print(Text(f"{role}, round {number}: project {desk.id}, {len(desk.tasks)} tasks{who}"))


def step_command(name: str, project: int, *, s3_keys: tuple[str, str]) -> None:
    """Take one step, and print what it did."""
    steps = {
        "sync": ReadingService.sync,
        "second-look": ReadingService.second_look,
        "arbitrate": ReadingService.arbitrate,
    }
    with Site.load() as site:
        print_step(steps[name](site.readings(s3_keys=s3_keys), project))


def rules_of(named: Mapping[str, Any]) -> ReadingRules:
    """The rules, those that are not named by default.

    Raises:
        typer.BadParameter: they cannot be.
    """
    try:
        return ReadingRules(**named)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


def print_step(step: StepResult) -> None:
    console = Console(soft_wrap=True)
    for name, count in step.added.items():
        console.print(f"{name}: {count} new tasks")
    if not step.added:
        console.print("no new tasks")
    if step.removed:
        console.print(f"{step.removed} tasks removed that nobody had begun")
    if step.repaired:
        console.print(f"{step.repaired} annotations fetched that no webhook had told of")
    if step.orphans:
        console.print(f"{step.orphans} cases whose task in project {step.source} is gone")
