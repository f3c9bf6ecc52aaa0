"""Run the checks, repair what can be repaired, and say it: plain lines, or one JSON object."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import replace

import orjson
from rich.console import Console
from rich.text import Text

from cli.doctor import (
    annotation_checks,
    image_checks,
    project_checks,
    schedule_check,
    server_checks,
    service_checks,
)
from cli.doctor.diagnosis import Diagnosis, broken, skipped
from cli.doctor.inspection import Inspection
from mammo.errors import LabelStudioError, MammoError
from mammo.site import Site

BROKEN = 1
"""Exit code when something is broken."""

Check = Callable[[Inspection], Iterable[Diagnosis]]

SERVICE: tuple[Check, ...] = (
    service_checks.check_settings,
    service_checks.check_storage,
    service_checks.check_queue,
)
PROJECT: tuple[Check, ...] = (
    server_checks.check_ssrf,
    project_checks.check_config,
    annotation_checks.check_labels,
    annotation_checks.check_annotations,
    project_checks.check_backends,
    project_checks.check_webhooks,
    project_checks.check_versions,
    schedule_check.check_schedule,
    image_checks.check_images,
)

STYLES = {"ok": "green", "warning": "yellow", "broken": "bold red", "skipped": "dim", "fixed": "bold green"}


def doctor_command(*, project: int | None, url: str, fix: bool, as_json: bool) -> int:
    """Exit code: 0, or 1 when something is (still) broken."""
    settings = Site.load().settings
    with ExitStack() as stack:

        def look() -> Inspection:
            site = stack.enter_context(Site(settings=settings))
            return Inspection(site=site, project=project, url=url)

        found = repair(look) if fix else examine(look())
    show(found, as_json=as_json)
    return BROKEN if any(each.state == "broken" for each in found) else 0


def examine(inspection: Inspection) -> list[Diagnosis]:
    """Run all checks that can be run. A check that fails is itself a diagnosis."""
    found = list(_run(SERVICE, inspection))
    server = list(_run((server_checks.check_server,), inspection))
    found += server
    if inspection.project is None:
        found.append(skipped("project", "give --project to examine one"))
    elif any(each.state == "broken" and each.check in ("label-studio", "token") for each in server):
        found.append(skipped("project", "Label Studio cannot be asked about the project"))
    elif (gone := _is_gone(inspection)) is not None:
        found.append(gone)
    else:
        found += _run(PROJECT, inspection)
        return [*found, *_run((service_checks.check_model,), inspection)]
    return [*found, *_run((service_checks.check_model,), replace(inspection, project=None))]


def repair(look: Callable[[], Inspection]) -> list[Diagnosis]:
    """Examine, repair, and examine again: what was wrong and is well now is `fixed`.

    Args:
        look: begins an inspection that has asked nothing yet.
    """
    before = examine(look())
    failures: dict[str, str] = {}
    done: list[object] = []
    for each in before:
        if each.repair is None or each.state not in ("broken", "warning") or each.repair in done:
            continue
        done.append(each.repair)
        try:
            each.repair()
        except (MammoError, OSError) as error:
            failures[each.check] = str(error)
    after = examine(look())
    told = [
        replace(each, says=f"{each.says} (the repair failed: {failures[each.check]})")
        if each.state == "broken" and each.check in failures
        else each
        for each in after
    ]
    wrong = {each.check for each in after if each.state in ("broken", "warning")}
    fixed = [
        replace(each, state="fixed", remedy="")
        for each in before
        if each.repair is not None and each.state in ("broken", "warning") and each.check not in wrong
    ]
    return [*told, *fixed]


def show(found: Iterable[Diagnosis], *, as_json: bool) -> None:
    """Print a report."""
    found = list(found)
    if as_json:
        rows = [
            {"check": each.check, "state": each.state, "says": each.says, "remedy": each.remedy}
            for each in found
        ]
        report = {"broken": sum(each.state == "broken" for each in found), "checks": rows}
        Console(soft_wrap=True, highlight=False, markup=False).print(
            orjson.dumps(report, option=orjson.OPT_INDENT_2).decode()
        )
        return
    console = Console(soft_wrap=True)
    for each in found:
        console.print(Text.assemble((f"{each.state:8}", STYLES[each.state]), f"{each.check:18}{each.line()}"))


def _run(checks: Iterable[Check], inspection: Inspection) -> Iterator[Diagnosis]:
    for check in checks:
        try:
            yield from check(inspection)
        except MammoError as error:
            yield broken(check.__name__.removeprefix("check_"), "the check itself failed", str(error))


def _is_gone(inspection: Inspection) -> Diagnosis | None:
    try:
        _ = inspection.described
    except LabelStudioError as error:
        if error.code != "label_studio_404":
            return broken("project", f"Label Studio does not show project {inspection.project}", str(error))
        says = f"project {inspection.project} is not there, or our user does not see it"
        return broken("project", says, "correct --project, or let the user of the API key into the project")
    return None
