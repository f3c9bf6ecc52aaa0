"""`yolo-mlsam order`: in which order annotators get the unread tasks of a project."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

order = typer.Typer(help="In which order annotators get a project's tasks.", no_args_is_help=True)

Project = Annotated[int, typer.Argument(help="Label Studio project id.", min=1)]


@order.command()
def plan(
    project: Project,
    strategy: Annotated[
        Literal["random", "score"],
        typer.Option(help="random: stratified by what the model finds; score: the least certain first."),
    ] = "random",
    positive_share: Annotated[
        float,
        typer.Option(help="random: share of tasks in which the model finds something.", min=0.01, max=0.99),
    ] = 0.5,
    first: Annotated[int, typer.Option(help="How many unread tasks get a place.", min=1)] = 200,
) -> None:
    """Place the next unread tasks, show them in the tab *Reading order*, and keep the plan."""
    from rich.console import Console

    from mammo.site import Site
    from mammo.worklist.service import TITLE

    with Site.load() as site:
        made = site.worklist.plan(project, strategy, positive_share=positive_share, limit=first)
    strata = [place.stratum for place in made.places]
    told = ", ".join(f"{strata.count(name)} {name}" for name in ("positive", "negative", "unknown"))
    console = Console(soft_wrap=True)
    console.print(
        f"project {project}, {strategy}: {len(made.places)} of {made.unread} unread tasks have a place "
        f"({told}, by model {made.model_version}), {made.changed} are new or moved"
    )
    console.print(f"annotators: tab {TITLE!r} (number {made.tab}), then *Label Tasks As Displayed*")


@order.command()
def show(
    project: Project,
    first: Annotated[int, typer.Option(help="How many of the next tasks to list.", min=1)] = 20,
) -> None:
    """How much of each strategy's tasks is read, and what comes next; `effort --by order` compares the strategies."""
    from rich.console import Console
    from rich.table import Table

    from mammo.site import Site

    with Site.load() as site:
        progress, following = site.worklist.progress(project), site.worklist.following(project, first)
    console = Console(soft_wrap=True)
    if not progress:
        console.print(f"project {project} has no plan: `yolo-mlsam order plan {project}` makes one")
        return
    done = Table("strategy", "placed", "read")
    for each in progress:
        done.add_row(each.strategy, str(each.placed), str(each.read))
    console.print(done)
    table = Table("place", "task", "strategy", "model finds", "score", "stands for", title="next")
    for place in following:
        score = "" if place.score is None else f"{place.score:.3f}"
        table.add_row(
            str(place.rank),
            str(place.task),
            place.strategy,
            {"positive": "something", "negative": "nothing"}.get(place.stratum, "not looked"),
            score,
            f"{place.weight:.2f} tasks" if place.strategy == "random" else "",
        )
    console.print(table)
