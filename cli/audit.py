"""`yolo-mlsam audit`: show, verify and export the trail of who did what."""

from __future__ import annotations

import csv
import sys
from typing import Annotated, Literal

import typer

from cli.text_console import text_console

audit = typer.Typer(help="Who did what, when and why.", no_args_is_help=True)


@audit.command("list")
def list_(
    limit: Annotated[int, typer.Option(help="Maximum number of entries.", min=1, max=10_000)] = 50,
) -> None:
    """List entries, newest first."""
    from rich.table import Table

    from mammo.printable import printable
    from mammo.site import Site

    with Site.load() as site:
        entries = site.access.trail.newest(limit=limit)
    table = Table("", "when (UTC)", "who", "what", "of", "why")
    for each in entries:
        texts = (each.actor, each.action, each.subject, each.reason)
        when = f"{each.at:%Y-%m-%d %H:%M}"
        table.add_row(str(each.number), when, *(printable(text, length=2000) for text in texts))
    text_console().print(table)


@audit.command("verify")
def verify(
    noted: Annotated[
        str | None,
        typer.Option(help="A hash that this command printed before; the chain must still hold it."),
    ] = None,
) -> None:
    """Compute every hash again. Exit code 1: an entry was changed or removed."""
    from mammo.site import Site

    with Site.load() as site:
        result = site.access.trail.verify(noted=noted)
    if result.problem is not None:
        typer.echo(f"the audit trail is broken: {result.problem}", err=True)
        raise typer.Exit(1)
    typer.echo(f"{result.num_entries} entries, whole; note the newest hash elsewhere: {result.head}")


@audit.command("export")
def export(
    format_: Annotated[Literal["csv", "json"], typer.Option("--format", help="csv or json.")] = "csv",
) -> None:
    """Write all entries to standard output, oldest first."""
    from mammo.audit.export import FIELDS, csv_row
    from mammo.lenient_json import dumps
    from mammo.site import Site

    with Site.load() as site:
        if format_ == "json":
            for entry in site.access.trail.entries():
                sys.stdout.write(dumps(entry.to_json()).decode() + "\n")
            return
        writer = csv.writer(sys.stdout)
        writer.writerow(FIELDS)
        for entry in site.access.trail.entries():
            writer.writerow(csv_row(entry))
