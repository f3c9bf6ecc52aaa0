"""`yolo-mlsam order`: the order in which annotators get a project's unread tasks."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from cli.site_choice import changing_site
from cli.text_console import text_console

order = typer.Typer(help="Plan the order in which annotators get a project's tasks.", no_args_is_help=True)

Project = Annotated[int, typer.Argument(help="Label Studio project id.", min=1)]


@order.command()
def plan(
    project: Project,
    strategy: Annotated[
        Literal["random", "score"],
        typer.Option(help="random: stratified by the model's findings; score: least certain first."),
    ] = "random",
    positive_share: Annotated[
        float,
        typer.Option(help="random: share of tasks with findings of the model.", min=0.01, max=0.99),
    ] = 0.5,
    first: Annotated[int, typer.Option(help="Number of unread tasks to plan.", min=1)] = 200,
) -> None:
    """Plan the next unread tasks, show them in the tab *Reading order*, and store the plan."""

    from mammo.worklist.service import TITLE

    with changing_site() as site:
        plan = site.worklist.plan(project, strategy, positive_share=positive_share, limit=first)
    strata = [place.stratum for place in plan.places]
    counts = ", ".join(f"{strata.count(name)} {name}" for name in ("positive", "negative", "unknown"))
    console = text_console(soft_wrap=True)
    console.print(
        f"project {project}, {strategy}: {len(plan.places)} of {plan.unread} unread tasks planned "
        f"({counts}, by model {plan.model_version}), {plan.changed} of them new or moved"
    )
    console.print(f"annotators: tab {TITLE!r} (number {plan.tab}), then *Label Tasks As Displayed*")


@order.command()
def show(
    project: Project,
    first: Annotated[int, typer.Option(help="Number of upcoming tasks to list.", min=1)] = 20,
) -> None:
    """Show the tasks read per strategy, and the upcoming ones. `effort --by order` compares strategies."""
    from rich.table import Table

    from mammo.site import Site

    with Site.load() as site:
        progress, following = site.worklist.progress(project), site.worklist.following(project, first)
        unreadable = site.worklist.unreadable(project)
    console = text_console(soft_wrap=True)
    if not progress:
        console.print(f"project {project} has no plan; `yolo-mlsam order plan {project}` makes one")
        return
    summary = Table("strategy", "planned", "read")
    for each in progress:
        summary.add_row(each.strategy, str(each.placed), str(each.read))
    console.print(summary)
    for task, code in sorted(unreadable.items()):
        console.print(f"not counted as read: task {task}, whose annotation cannot be read ({code})")
    table = Table("place", "task", "strategy", "model finds", "score", "represents", title="next tasks")
    for place in following:
        score = "" if place.score is None else f"{place.score:.3f}"
        table.add_row(
            str(place.rank),
            str(place.task),
            place.strategy,
            {"positive": "something", "negative": "nothing"}.get(place.stratum, "not predicted"),
            score,
            f"{place.weight:.2f} tasks" if place.strategy == "random" else "",
        )
    console.print(table)
