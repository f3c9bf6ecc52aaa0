"""`yolo-mlsam runs`: retrains to look at, follow, start, cancel and resume."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated, Any, get_args

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from mammo.runs import Run, Started

runs = typer.Typer(help="Retrains: start, follow, cancel, resume.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(metavar="RUN", help="Id of a run, or the beginning of it.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Why = Annotated[str, typer.Option(help="Why; it stays in the run's log.")]

LOOK_SECONDS = 1.0


@runs.command("list")
def list_(
    project: Annotated[int | None, typer.Option(help="Runs of this project alone.", min=1)] = None,
    active: Annotated[bool, typer.Option("--active", help="Only runs that have not ended.")] = False,
    limit: Annotated[int, typer.Option(help="At most so many.", min=1, max=1000)] = 20,
    as_json: AsJson = False,
) -> None:
    """Runs, newest first."""
    from rich.table import Table

    from mammo.site import Site

    with Site.load() as site:
        found = site.runs.runs.newest(project=project, active=active, limit=limit)
    if as_json:
        _console().print_json(data=[each.to_json() for each in found])
        return
    table = Table("run", "project", "asked for by", "state", "progress", "left", "what")
    for each in found:
        said = each.error or each.message or each.reason
        row = (each.id, str(each.project), each.trigger, each.state, f"{each.progress:.0%}", left(each), said)
        table.add_row(*row)
    _console().print(table)


@runs.command()
def show(name: Name, as_json: AsJson = False) -> None:
    """One run: how far it is, what asked for it, what its stages came to."""
    from mammo.site import Site

    with Site.load() as site:
        found = site.runs.runs.find(name)
        asked = [each for each in site.runs.runs.triggers(found.project) if each["run"] == found.id]
        results = site.runs.runs.results(found.id)
    console = _console()
    if as_json:
        console.print_json(data={**found.to_json(), "triggers": asked, "results": results})
        return
    console.print(f"{found.id}: {found.state}, {found.progress:.0%} {found.stage} {found.message}".rstrip())
    console.print(
        f"project {found.project}, recipe {found.recipe}, attempt {found.attempt}, {left(found)} left"
    )
    if found.not_before and found.active:
        console.print(f"waits until {found.not_before:%Y-%m-%d %H:%M %Z} (quiet hours)")
    if found.error:
        console.print(f"failed ({found.failure}): {found.error}")
    for each in asked:
        console.print(f"  {each['at'][:16]} {each['trigger']}: {each['reason']}")
    outcome = results.get("outcome", {})
    if "verdict" in outcome:
        console.print(f"verdict: {outcome['verdict'].get('reason', outcome['verdict'])}")


@runs.command()
def log(name: Name, lines: Annotated[int, typer.Option(help="Last lines.", min=1, max=10_000)] = 100) -> None:
    """The last lines of a run's log."""
    from mammo.site import Site

    with Site.load() as site:
        found = site.runs.runs.find(name)
        for each in site.runs.runs.events(found.id, limit=lines, newest=True):
            _console().print(_line(each))


@runs.command()
def watch(name: Name) -> None:
    """Follow a run until it ends. Exit code 1: it failed or was cancelled."""
    from mammo.site import Site

    console = _console()
    with Site.load() as site:
        found, after = site.runs.runs.find(name), 0
        while True:
            found = site.runs.runs.get(
                found.id
            )  # first: what it did before its end is shown before its end is
            for each in site.runs.runs.events(found.id, after=after):
                after = each.id
                console.print(_line(each))
            if not found.active:
                break
            time.sleep(LOOK_SECONDS)
    console.print(f"{found.id}: {found.state}")
    raise typer.Exit(1 if found.state in ("failed", "cancelled") else 0)


@runs.command()
def start(
    project: Annotated[int, typer.Option(help="Label Studio project to learn from.", min=1)],
    recipe: Annotated[str | None, typer.Option(help="Training recipe; default: YOLO_MLSAM_RECIPE.")] = None,
    reason: Why = "asked for on the command line",
) -> None:
    """Ask for a retrain at once; an active run of the project stands for this too, and says so."""
    from mammo.settings import RecipeName
    from mammo.site import Site

    names = get_args(RecipeName)
    if recipe is not None and recipe not in names:
        raise typer.BadParameter(f"{recipe!r} is not one of {', '.join(names)}", param_hint="--recipe")
    with Site.load() as site:
        started = site.runs.start(
            project, recipe=recipe or site.settings.recipe, reason=reason, trigger="cli"
        )
    what = "queued" if started.created else "active already; it stands for this too"
    _console().print(f"{started.run}: {what}")
    _say_problem(started)


@runs.command()
def cancel(name: Name, reason: Why = "cancelled on the command line") -> None:
    """End a run; a running one stops within seconds and can be resumed where it was."""
    from mammo.site import Site

    with Site.load() as site:
        ended = site.runs.cancel(site.runs.runs.find(name).id, reason=reason)
    _console().print(
        f"{ended.id}: {ended.state} at {ended.progress:.0%}; `yolo-mlsam runs resume` goes on there"
    )


@runs.command()
def resume(name: Name, reason: Why = "resumed on the command line") -> None:
    """Send a failed or cancelled run on, at the first stage that is not done."""
    from mammo.site import Site

    with Site.load() as site:
        started = site.runs.resume(site.runs.runs.find(name).id, reason=reason)
    _console().print(f"{started.run}: queued")
    _say_problem(started)


def left(found: Run) -> str:
    """Time until the end, as far as it can be foretold."""
    seconds = found.seconds_left() if found.active else None
    if seconds is None:
        return "" if not found.active else "unknown"
    return f"{seconds / 60:.0f} min" if seconds >= 90 else f"{seconds:.0f} s"


def _line(event: Any) -> str:
    what = event.state or event.kind
    return f"{event.at:%H:%M:%S} {what:<10} {event.text}".rstrip()


def _say_problem(started: Started) -> None:
    if started.problem:
        _console().print(f"no worker could be told yet; the backend will: {started.problem}")


def _console() -> Console:
    from rich.console import Console

    return Console(soft_wrap=True, markup=False, highlight=False)
