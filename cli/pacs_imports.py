"""`yolo-mlsam pacs imports`, `stop` and `continue`: the imports that were asked for on the console or over HTTP."""

from __future__ import annotations

from typing import Annotated

import orjson
import typer

from cli.current_user import current_user
from cli.text_console import text_console


def imports(
    project: Annotated[int | None, typer.Option(help="Only imports into this project.", min=1)] = None,
    number: Annotated[int, typer.Option(help="List so many, newest first.", min=1, max=10_000)] = 50,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the imports of the console and of programs, with what came of them. Nothing printed names a patient."""
    from mammo.site import Site

    with Site.load() as site:
        rows = site.pacs_imports.newest(project=project, limit=number)
    if as_json:
        typer.echo(orjson.dumps([row.to_json() for row in rows], option=orjson.OPT_INDENT_2).decode())
        return
    console = text_console()
    for row in rows:
        outcome = row.outcome or {}
        came = f", {outcome.get('images_new', 0)} images came, {outcome.get('tasks_new', 0)} new tasks"
        console.print(
            f"{row.id}  {row.created_at:%Y-%m-%d %H:%M}  project {row.project}  {row.what}  {row.state}"
            f"{came if row.outcome else ''}{f': {row.problem}' if row.problem else ''}",
            soft_wrap=True,
        )
    if not rows:
        typer.echo("nothing was imported from the console or by programs")


Number = Annotated[int, typer.Argument(help="Number of the import, as `pacs imports` lists it.", min=1)]


def stop(number: Number) -> None:
    """Stop an import of the console within one image. What has come is kept; `pacs continue` continues it."""
    from backend.requested_pacs import stop_import
    from mammo.site import Site

    with Site.load() as site:
        stop_import(site, number, actor=current_user())
    typer.echo(f"import {number} is stopped")


def continue_(number: Number) -> None:
    """Continue an import of the console that has ended, in the background; a finished one takes what is new."""
    from backend.requested_pacs import continue_import
    from mammo.site import Site

    with Site.load() as site:
        continue_import(site, number, actor=current_user())
    typer.echo(
        f"import {number} waits for a worker of the queue light; `yolo-mlsam pacs imports` shows its end"
    )
