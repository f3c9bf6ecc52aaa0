"""The steps of a double reading, from the command line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import typer
from rich.text import Text

from cli.site_choice import changing_site
from cli.text_console import text_console
from mammo.readings import ROLES, ReadingRules, ReadingService, StepResult


def create_command(
    project: int, *, rules: Mapping[str, Any], emails: Mapping[str, str], s3_keys: tuple[str, str]
) -> None:
    """Create a double reading, and print the project of each reader."""
    checked = rules_of(rules)
    accounts = {role: emails[role] for role in ROLES if emails.get(role)}
    with changing_site() as site:
        double = site.readings(s3_keys=s3_keys).create(project, rules=checked, emails=accounts)
    console = text_console(soft_wrap=True)
    for (role, number), reader_project in sorted(double.projects.items()):
        who = "" if role in double.users else " (no account named: annotations by anybody count)"
        console.print(
            Text(
                f"{role}, round {number}: project {reader_project.id}, {len(reader_project.tasks)} tasks{who}"
            )
        )


def step_command(name: str, project: int, *, s3_keys: tuple[str, str]) -> None:
    """Run one step, and print its effects."""
    steps = {
        "sync": ReadingService.sync,
        "second-look": ReadingService.second_look,
        "arbitrate": ReadingService.arbitrate,
    }
    with changing_site() as site:
        print_step(steps[name](site.readings(s3_keys=s3_keys), project))


def rules_of(options: Mapping[str, Any]) -> ReadingRules:
    """Return the rules, with defaults for those that are not given.

    Raises:
        typer.BadParameter: a rule has an invalid value.
    """
    try:
        return ReadingRules(**options)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


def print_step(step: StepResult) -> None:
    console = text_console(soft_wrap=True)
    for name, count in step.added.items():
        console.print(f"{name}: {count} new tasks")
    if not step.added:
        console.print("no new tasks")
    if step.removed:
        console.print(f"{step.removed} tasks removed that nobody had started")
    if step.repaired:
        console.print(f"{step.repaired} annotations restored whose webhooks were lost")
    if step.orphans:
        console.print(f"{step.orphans} cases without a task in project {step.source} (it was deleted)")
