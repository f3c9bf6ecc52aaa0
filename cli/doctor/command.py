"""Run the checks, optionally repair, and print the diagnoses as lines or as one JSON object."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace

import orjson
from rich.text import Text

from cli.doctor import annotation_checks
from cli.text_console import text_console
from mammo.doctor import server_checks, service_checks
from mammo.doctor.checking import CONFIG, CONNECTION, SERVICE, Check, missing_project, run_checks
from mammo.doctor.diagnosis import Diagnosis, skipped
from mammo.doctor.inspection import Inspection
from mammo.errors import MammoError
from mammo.site import Site

BROKEN = 1
"""Exit code when something is broken."""

PROJECT: tuple[Check, ...] = (
    *CONFIG,
    annotation_checks.check_labels,
    annotation_checks.check_annotations,
    *CONNECTION,
)

STYLES = {"ok": "green", "warning": "yellow", "broken": "bold red", "skipped": "dim", "fixed": "bold green"}


def doctor_command(*, project: int | None, url: str, fix: bool, as_json: bool) -> int:
    """Return the exit code: 0, or `BROKEN`."""
    settings = Site.load().settings
    with ExitStack() as stack:

        def inspect() -> Inspection:
            site = stack.enter_context(Site(settings=settings))
            return Inspection(site=site, project=project, url=url)

        diagnoses = repair(inspect) if fix else examine(inspect())
    show(diagnoses, as_json=as_json)
    return BROKEN if any(each.state == "broken" for each in diagnoses) else 0


def examine(inspection: Inspection) -> list[Diagnosis]:
    """Run every check that can be run. A failing check is reported as a diagnosis."""
    diagnoses = list(run_checks(SERVICE, inspection))
    server = list(run_checks((server_checks.check_server,), inspection))
    diagnoses += server
    if inspection.project is None:
        diagnoses.append(skipped("project", "no project was checked; name one with --project"))
    elif any(each.state == "broken" and each.check in ("label-studio", "token") for each in server):
        diagnoses.append(skipped("project", "Label Studio cannot be asked about the project"))
    elif (missing := missing_project(inspection)) is not None:
        diagnoses.append(missing)
    else:
        diagnoses += run_checks(PROJECT, inspection)
        return [*diagnoses, *run_checks((service_checks.check_model,), inspection)]
    return [*diagnoses, *run_checks((service_checks.check_model,), replace(inspection, project=None))]


def examine_service(inspection: Inspection) -> list[Diagnosis]:
    """Run the checks of a new installation, whose backend does not run yet: settings, storage, queue, Label Studio."""
    return list(run_checks((*SERVICE, server_checks.check_server), inspection))


def repair(inspect: Callable[[], Inspection]) -> list[Diagnosis]:
    """Examine, repair, and examine again. Diagnoses that have disappeared are `fixed`.

    Args:
        inspect: returns a new inspection, without cached answers.
    """
    before = examine(inspect())
    failures: dict[str, str] = {}
    attempted: list[object] = []
    for each in before:
        if each.repair is None or each.state not in ("broken", "warning") or each.repair in attempted:
            continue
        attempted.append(each.repair)
        try:
            each.repair()
        except (MammoError, OSError) as error:
            failures[each.check] = str(error)
    after = examine(inspect())
    current = [
        replace(each, says=f"{each.says} (the repair failed: {failures[each.check]})")
        if each.state == "broken" and each.check in failures
        else each
        for each in after
    ]
    failing = {each.check for each in after if each.state in ("broken", "warning")}
    fixed = [
        replace(each, state="fixed", remedy="")
        for each in before
        if each.repair is not None and each.state in ("broken", "warning") and each.check not in failing
    ]
    return [*current, *fixed]


def show(diagnoses: Sequence[Diagnosis], *, as_json: bool) -> None:
    """Print the diagnoses."""
    if as_json:
        rows = [
            {"check": each.check, "state": each.state, "says": each.says, "remedy": each.remedy}
            for each in diagnoses
        ]
        report = {"broken": sum(each.state == "broken" for each in diagnoses), "checks": rows}
        text_console(soft_wrap=True, highlight=False).print(
            orjson.dumps(report, option=orjson.OPT_INDENT_2).decode()
        )
        return
    console = text_console(soft_wrap=True)
    for each in diagnoses:
        console.print(Text.assemble((f"{each.state:8}", STYLES[each.state]), f"{each.check:18}{each.line()}"))
