"""`python -m benchmarks.siege`: run one part of the siege."""

from __future__ import annotations

from typing import Annotated

import typer

from benchmarks.senders import SENDERS
from benchmarks.siege import connections as connections_part
from benchmarks.siege import kills as kills_part
from benchmarks.siege import mutations as mutations_part

app = typer.Typer(help="Run one part of the siege.", no_args_is_help=True, add_completion=False)


@app.command("connections")
def connections(
    seconds: Annotated[float, typer.Option(min=5, help="Length of each phase.")] = connections_part.SECONDS,
    silent: Annotated[
        int, typer.Option(min=0, help="Connections that send nothing.")
    ] = connections_part.SILENT,
    dripping: Annotated[
        int, typer.Option(min=0, help="Connections that send one byte of a header a second.")
    ] = connections_part.DRIPPING,
) -> None:
    """Webhooks and clicks while an attacker holds connections."""
    typer.echo(connections_part.run(seconds=seconds, silent=silent, dripping=dripping).markdown())


@app.command("kills")
def kills(
    kills: Annotated[int, typer.Option(min=1, help="How often the backend is killed.")] = kills_part.KILLS,
    senders: Annotated[int, typer.Option(min=1, help="Senders of events at the same time.")] = SENDERS,
    seed: Annotated[int, typer.Option(help="Seed of the moments.")] = 0,
) -> None:
    """Events that were acknowledged and are missing after kills at random moments."""
    typer.echo(kills_part.run(kills=kills, senders=senders, seed=seed).markdown())


app.command("mutations")(mutations_part.main)

if __name__ == "__main__":
    app()
