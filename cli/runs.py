"""`yolo-mlsam runs`: list, show, follow, start, cancel and resume retrains and adaptations."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated, Any, get_args

import typer

from cli.current_user import current_user
from cli.learning_curve import curve
from cli.site_choice import changing_site
from cli.text_console import text_console

if TYPE_CHECKING:
    from rich.console import Console

    from mammo.runs import Run, Started

runs = typer.Typer(
    help="Start retrains; follow, cancel and resume retrains and adaptations.", no_args_is_help=True
)

runs.command("curve")(curve)

Name = Annotated[str, typer.Argument(metavar="RUN", help="Id of a run, or its beginning.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Why = Annotated[str, typer.Option(help="Why; recorded in the run's log.")]

POLL_SECONDS = 1.0


@runs.command("list")
def list_(
    project: Annotated[int | None, typer.Option(help="List only runs of this project.", min=1)] = None,
    active: Annotated[bool, typer.Option("--active", help="List only runs that have not ended.")] = False,
    limit: Annotated[int, typer.Option(help="Maximum number of runs.", min=1, max=1000)] = 20,
    as_json: AsJson = False,
) -> None:
    """List runs, newest first."""
    from rich.table import Table

    from mammo.site import Site

    with Site.load() as site:
        newest = site.run_records.newest(project=project, active=active, limit=limit)
    if as_json:
        _console().print_json(data=[run.to_json() for run in newest])
        return
    table = Table("run", "project", "trigger", "state", "progress", "time left", "message")
    for run in newest:
        message = run.error or run.message or run.reason
        row = (
            run.id,
            str(run.project or "-"),
            run.trigger,
            run.state,
            f"{run.progress:.0%}",
            time_left(run),
            message,
        )
        table.add_row(*row)
    _console().print(table)


@runs.command()
def show(name: Name, as_json: AsJson = False) -> None:
    """Show a run: progress, triggers, and the results of its stages."""
    from mammo.site import Site

    with Site.load() as site:
        run = site.runs.runs.find(name)
        triggers = [each for each in site.runs.runs.triggers(run.project) if each["run"] == run.id]
        results = site.runs.runs.results(run.id)
    console = _console()
    if as_json:
        console.print_json(data={**run.to_json(), "triggers": triggers, "results": results})
        return
    console.print(f"{run.id}: {run.state}, {run.progress:.0%} {run.stage} {run.message}".rstrip())
    remaining = f", time left: {time_left(run)}" if run.active else ""
    console.print(f"project {run.project or '-'}, recipe {run.recipe}, attempt {run.attempt}{remaining}")
    if run.not_before and run.active:
        console.print(f"waits until {run.not_before:%Y-%m-%d %H:%M %Z} (quiet hours)")
    if run.error:
        console.print(f"failed ({run.failure}): {run.error}")
    for each in triggers:
        console.print(f"  {each['at'][:16]} {each['trigger']}: {each['reason']}")
    outcome = results.get("outcome", {})
    if "verdict" in outcome:
        console.print(f"verdict: {outcome['verdict'].get('reason', outcome['verdict'])}")


@runs.command()
def log(
    name: Name, lines: Annotated[int, typer.Option(help="Number of lines.", min=1, max=10_000)] = 100
) -> None:
    """Print the last lines of a run's log."""
    from mammo.site import Site

    with Site.load() as site:
        run = site.runs.runs.find(name)
        for event in site.runs.runs.events(run.id, limit=lines, newest=True):
            _console().print(_line(event))


@runs.command()
def watch(name: Name) -> None:
    """Follow a run until it ends. Exit code 1: it failed or was cancelled."""
    from mammo.site import Site

    console = _console()
    with Site.load() as site:
        run, after = site.runs.runs.find(name), 0
        while True:
            # The state is read before the events, so that no event of a run that has just ended is missed.
            run = site.runs.runs.get(run.id)
            for event in site.runs.runs.events(run.id, after=after):
                after = event.id
                console.print(_line(event))
            if not run.active:
                break
            time.sleep(POLL_SECONDS)
    console.print(f"{run.id}: {run.state}")
    raise typer.Exit(1 if run.state in ("failed", "cancelled") else 0)


@runs.command()
def start(
    project: Annotated[int, typer.Option(help="Label Studio project whose corrections to train on.", min=1)],
    recipe: Annotated[str | None, typer.Option(help="Training recipe; default: YOLO_MLSAM_RECIPE.")] = None,
    provisional: Annotated[
        bool,
        typer.Option(
            "--provisional",
            help="Make a provisional model instead: from five corrected images of two patients on, in minutes.",
        ),
    ] = False,
    reason: Why = "asked for on the command line",
) -> None:
    """Start a retrain now, or a run for a provisional model, unless the project has an active one.

    A retrain that could not succeed, for lack of corrections or of patients to hold out, is refused with that reason.

    A provisional model is judged by leaving patients out. If it is better than the champion, it serves this project
    only, as version p0003-..., and never becomes champion. A retrain that the gate promotes takes its place; before,
    `models withdraw` ends it.
    """
    from backend.requested_runs import require_possible
    from mammo.labelstudio.existing_projects import require_project
    from mammo.training_settings import RecipeName

    names = get_args(RecipeName)
    if recipe is not None and recipe not in names:
        raise typer.BadParameter(f"{recipe!r} is not one of {', '.join(names)}", param_hint="--recipe")
    if provisional and recipe is not None:
        raise typer.BadParameter("a provisional model has a recipe of its own", param_hint="--recipe")
    with changing_site() as site:
        require_project(site.label_studio, project)
        chosen = "provisional" if provisional else recipe or site.settings.recipe
        require_possible(site, project, recipe=chosen)
        started = site.runs.start(
            project,
            recipe=chosen,
            reason=reason,
            trigger="cli",
            actor=current_user(),
        )
    state = "queued" if started.created else "active already; no second run is started"
    _console().print(f"{started.run}: {state}")
    _print_problem(started)


@runs.command()
def cancel(name: Name, reason: Why = "cancelled on the command line") -> None:
    """Cancel a run. A running one stops within seconds, and can be resumed."""

    with changing_site() as site:
        site.make_room()
        run = site.runs.cancel(site.runs.runs.find(name).id, reason=reason, actor=current_user())
    _console().print(
        f"{run.id}: {run.state} at {run.progress:.0%}; `yolo-mlsam runs resume` continues from there"
    )


@runs.command()
def resume(name: Name, reason: Why = "resumed on the command line") -> None:
    """Resume a failed or cancelled run at its first unfinished stage."""

    with changing_site() as site:
        started = site.runs.resume(site.runs.runs.find(name).id, reason=reason, actor=current_user())
    _console().print(f"{started.run}: queued")
    _print_problem(started)


def time_left(run: Run) -> str:
    """Return the estimated time until a run ends; empty if it has ended."""
    if not run.active:
        return ""
    seconds = run.seconds_left()
    if seconds is None:
        return "unknown"
    return f"{seconds / 60:.0f} min" if seconds >= 90 else f"{seconds:.0f} s"


def _line(event: Any) -> str:
    return f"{event.at:%H:%M:%S} {event.state or event.kind:<10} {event.text}".rstrip()


def _print_problem(started: Started) -> None:
    if started.problem:
        _console().print(
            f"the run is recorded; the backend enqueues it if the queue has not: {started.problem}"
        )


def _console() -> Console:

    return text_console(soft_wrap=True, highlight=False)
