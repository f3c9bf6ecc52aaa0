"""`yolo-mlsam readers`: who read what in a project, how much is left, and whether known cases were found."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import typer

from cli.site_choice import changing_site
from cli.text_console import text_console

readers = typer.Typer(help="Who read what, and how much is left.", no_args_is_help=True)

Project = Annotated[int, typer.Option(help="Label Studio project id.", min=1)]


@readers.command()
def show(
    project: Project,
    since: Annotated[
        datetime | None, typer.Option(help="First day, UTC; default: the beginning.", formats=["%Y-%m-%d"])
    ] = None,
    until: Annotated[
        datetime | None, typer.Option(help="Last day, UTC; default: today.", formats=["%Y-%m-%d"])
    ] = None,
    names: Annotated[bool, typer.Option("--names", help="Show names instead of pseudonyms.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show the readers of a project in a period, how alike they are, and the tasks that are left."""
    from rich.table import Table

    from cli.reading.showing import print_descriptors
    from cli.trace import words_cell
    from mammo.printable import printable
    from mammo.site import Site

    days = {"since": since.date() if since else None, "until": until.date() if until else None}
    with Site.load() as site:
        found = site.readers(project)
    console = text_console(soft_wrap=True)
    if as_json:
        console.print_json(data={"project": project, **found.to_json(**days, with_names=names)})
        return
    known = ("known cases", "hits", "misses", "false marks") if found.num_known_cases else ()
    changes = ("accepted", "edited", "added", "deleted")
    rows = found.rows(**days, with_names=names)
    described = ("words given/changed/removed/accepted",) if any(row.tally.words for row in rows) else ()
    table = Table("reader", "images", "hours", "median s", *changes, "within seconds", *described, *known)
    for row in rows:
        tally = row.tally
        median = "" if tally.median_seconds is None else f"{tally.median_seconds:.0f}"
        figures = [str(getattr(tally, name)) for name in changes] + [str(tally.hasty)]
        cases = (tally.known_cases, tally.hits, tally.misses, tally.false_marks) if known else ()
        table.add_row(
            printable(row.name or row.reader),
            str(tally.images),
            f"{tally.total_seconds / 3600:.1f}",
            median,
            *figures,
            *([words_cell(dict(tally.words))] if described else []),
            *map(str, cases),
        )
    console.print(table)
    for pair in found.pairs(**days):
        both = " and ".join(
            printable(found.label(each, with_names=names)) for each in (pair.first, pair.second)
        )
        kappa = "undefined" if pair.kappa.value is None else f"{pair.kappa.value:.2f}"
        console.print(
            f"{both}: agreed on {pair.agreed} of {pair.images} images; kappa {kappa} ({pair.kappa.patients} patients)"
        )
        print_descriptors(pair.descriptors, console)
    left = (
        f"{found.left} of {found.tasks} tasks are left" if found.left is not None else "tasks left: unknown"
    )
    console.print(f"{left}{f': {found.problem}' if found.problem else ''}")


@readers.command()
def seed(
    project: Project,
    reference: Annotated[
        int, typer.Option(help="Project whose corrections are the truth; readers need not see it.", min=1)
    ],
    share: Annotated[float, typer.Option(help="Share of known cases among the tasks.", min=0.001, max=0.5)],
) -> None:
    """Add tasks with known truth to a project until they are a share of its tasks.

    They show images of the reference project, and look like all others. Tasks of it with two annotations are not taken.
    `readers show` then counts what each reader has found and missed on them. Without this command there are none.
    """
    from cli.current_user import current_user

    with changing_site() as site:
        tasks = site.known_cases.seed(
            project, reference=reference, share=share, client=site.client, actor=current_user()
        )
        total = len(site.known_cases.of(project))
    text_console(soft_wrap=True).print(f"project {project}: {len(tasks)} tasks added, {total} known cases")


@readers.command("name-case")
def name_case(
    project: Project,
    task: Annotated[int, typer.Option(help="The task, which readers read as any other.", min=1)],
    truth: Annotated[
        int, typer.Option(help="Annotation of the same image, in whatever project, that is the truth.", min=1)
    ],
) -> None:
    """Make a task of a project a known case."""
    from cli.current_user import current_user

    with changing_site() as site:
        site.known_cases.name(project, task, annotation=truth, actor=current_user())
        total = len(site.known_cases.of(project))
    text_console(soft_wrap=True).print(f"project {project}: {total} known cases")
