"""`python -m benchmarks.corrections`."""

from __future__ import annotations

from typing import Annotated

import typer

from benchmarks.corrections.scripted import run


def main(
    number: Annotated[int, typer.Option(min=1, help="Corrections.")] = 200,
    by_hand: Annotated[int, typer.Option(min=0, help="How many of them, at least, in Chromium.")] = 12,
    seed: Annotated[int, typer.Option(min=0, help="Decides what is corrected, and how.")] = 20,
) -> None:
    """Make corrections of random kind, and compare the dataset version with what was meant."""
    typer.echo(run(number=number, by_hand=by_hand, seed=seed).markdown())


if __name__ == "__main__":
    typer.run(main)
