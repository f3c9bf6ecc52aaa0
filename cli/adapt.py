"""`yolo-mlsam adapt`: check the options, run the adaptation here or leave it to a worker, and print the result."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.site_choice import changing_site

if TYPE_CHECKING:
    from mammo.runs.payloads import Adapt
    from mammo.site import Site

UNREADABLE = 2
"""Exit code if an image could not be read."""


def adapt(
    backgrounds: Annotated[
        list[str], typer.Option(help="A background set; see `backgrounds list`. May be repeated.")
    ],
    project: Annotated[
        int | None,
        typer.Option(help="Project whose frozen test patients must not be worse off.", min=1),
    ] = None,
    recipe: Annotated[str, typer.Option(help="adapt, or smoke for a quick check.")] = "adapt",
    reason: Annotated[
        str, typer.Option(help="Why; recorded in the run's log.")
    ] = "asked for on the command line",
    wait: Annotated[
        bool,
        typer.Option(
            "--wait/--enqueue", help="Train in this process and wait, or leave it to a worker of this host."
        ),
    ] = True,
) -> None:
    """Adapt the champion to your own images, without one annotation: with clusters inserted into them.

    The same command continues an interrupted run. Exit code 2: some images could not be read and were left out.
    """
    from mammo.runs.payloads import Adapt
    from mammo.runs.states import NO_PROJECT

    order = Adapt(project or NO_PROJECT, recipe, reason, tuple(dict.fromkeys(backgrounds)))
    with changing_site() as site:
        require_possible(order, site)
        if wait:
            summary = run_here(order, site)
            for line in lines_of(summary):
                typer.echo(line)
            if summary.get("unreadable"):
                raise typer.Exit(UNREADABLE)
        else:
            started = site.runs.start_adaptation(order, enqueue=True)
            state = "queued" if started.created else "active already"
            typer.echo(f"{started.run}: {state}; follow it with `yolo-mlsam runs watch {started.run}`")
            if started.problem:
                typer.echo(
                    f"the run is recorded; the backend enqueues it if the queue has not: {started.problem}"
                )


def require_possible(order: Adapt, site: Site) -> None:
    """Refuse an order before a run is recorded.

    Raises:
        InvalidSettings: there is no such recipe, or a project must be named.
        InvalidBackgrounds: there is no such set.
        InsufficientData: too few images or patients.
    """
    from mammo.errors import InvalidSettings
    from training.adapt.images import frozen_dataset, require_enough_images
    from training.adapt.recipes import ADAPT_RECIPES

    if order.recipe not in ADAPT_RECIPES:
        raise InvalidSettings(f"recipe {order.recipe!r} is not one of {', '.join(ADAPT_RECIPES)}")
    require_enough_images([site.backgrounds.get(name) for name in order.backgrounds])
    frozen_dataset(order.project, engine=site.engine)


def run_here(order: Adapt, site: Site) -> dict[str, Any]:
    """Run an adaptation in this process, and return its summary.

    Raises:
        RunConflict: another adaptation is active, or another process works on this one.
        Cancelled: interrupted, or cancelled by `runs cancel`.
    """
    from cli.progress import progress_bar
    from mammo.errors import Cancelled, RunConflict, StorageUnavailable
    from mammo.runs import RunLedger, claim, this_process
    from worker.adapting import adapt_on_site, announce_promotion
    from worker.claimed_run import run_steps

    runs = site.runs.runs
    name = site.runs.start_adaptation(order, enqueue=False).run
    owned = claim(runs, name, owner=this_process())
    if owned is None:
        raise RunConflict(
            f"another process works on run {name}; follow it with `yolo-mlsam runs watch {name}`"
        )
    ledger, run = RunLedger(site.engine, owned), runs.get(name)
    try:
        with progress_bar("adapt") as bar:
            summary = run_steps(
                ledger,
                lambda report: adapt_on_site(run, ledger, site, report),
                progress=lambda step, fraction, message: bar(fraction, f"{step}: {message}".strip(": ")),
                fail=lambda _: None,
            )
    except Cancelled:
        ledger.release("interrupted on the command line")
        raise
    if summary["promoted"]:
        try:
            announce_promotion(run.project, summary["challenger"], site)
        except StorageUnavailable as error:
            typer.echo(f"its tasks are not prelabelled yet, run `prelabel-project`: {error}", err=True)
    return summary


def lines_of(summary: dict[str, Any]) -> list[str]:
    """Return the result of an adaptation in sentences."""
    images, promoted = summary["images"], summary["promoted"]
    unreadable = [
        f"  left out, it cannot be read (`yolo-mlsam runs log {summary['run']}` says why): {name}"
        for name in summary.get("unreadable", [])
    ]
    aside = [f"  set aside as suspicious, look at it: {name}" for name in summary["set_aside"]]
    untouched = summary["verdict"]["untouched"]
    return [
        f"{summary['run']}: {summary['challenger']} is {'champion now' if promoted else 'a challenger'}",
        f"{images['train']} images to train on, {images['validation']} to validate, {images['held_out']} held out, "
        f"{images['set_aside']} set aside",
        *aside,
        *unreadable,
        f"false positives per untouched held-out image: {untouched['champion']:.2f} -> {untouched['challenger']:.2f}",
        summary["reason"],
        f"`yolo-mlsam models show {summary['challenger']}` has every number",
    ]
