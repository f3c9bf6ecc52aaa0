"""`yolo-mlsam pacs send` and `results`: what goes back to the PACS."""

from __future__ import annotations

from typing import Annotated

import orjson
import typer

from cli.text_console import text_console


def send(
    now: Annotated[
        bool, typer.Option("--now", help="Also results that wait after a failed attempt.")
    ] = False,
) -> None:
    """Send the results that wait to the PACS. Exit code 2: some were not sent; they are repeated.

    The backend does so too, every half minute while it runs.
    """
    from cli.current_user import current_user
    from cli.export import send_due
    from mammo.site import Site

    with Site.load() as site:
        if now:
            site.pacs_results.outbox.hasten(now=site.pacs_results.clock(), actor=current_user())
        code = send_due(site)
    raise typer.Exit(code)


def results(
    number: Annotated[int, typer.Option(help="List so many, newest first.", min=1, max=10_000)] = 50,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the results that were sent to the PACS or wait, with the reasons of failed attempts."""
    from mammo.site import Site

    with Site.load() as site:
        rows = site.pacs_results.outbox.newest(limit=number)
    if as_json:
        typer.echo(orjson.dumps([row.to_json() for row in rows], option=orjson.OPT_INDENT_2).decode())
        return
    console = text_console()
    for row in rows:
        replaces = ", replaces an earlier version" if row.predecessor else ""
        problem = f": {row.problem}" if row.problem else ""
        console.print(
            f"{row.id}  {row.created_at:%Y-%m-%d %H:%M}  {row.kind}  {row.num_findings} findings{replaces}  "
            f"{row.state}, {row.attempts} attempts{problem}",
            soft_wrap=True,
        )
    if not rows:
        typer.echo("no results were sent; `yolo-mlsam export --to pacs` sends them")
