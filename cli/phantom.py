"""`yolo-mlsam phantom`: check the options, draw, and print the counts."""

from __future__ import annotations

from pathlib import Path

import typer
from rich.console import Console
from rich.progress import track

from mammo.errors import InvalidSettings
from mammo.exchange.phantom_files import PhantomOptions, write_phantoms
from mammo.phantom import DENSITIES, Extras, vendor_a, vendor_b, vendor_c
from mammo.printable import printable

VENDORS = {"a": vendor_a, "b": vendor_b, "c": vendor_c}


def phantom_options(
    *,
    patients: int,
    seed: int,
    vendor: str,
    positive: float,
    density: str | None,
    for_processing: bool,
    extras: bool,
) -> PhantomOptions:
    """Return the options of the command line, checked.

    Raises:
        InvalidSettings: unknown vendor or density.
    """
    if vendor not in VENDORS:
        raise InvalidSettings(f"expected a --vendor of {', '.join(VENDORS)}, got {printable(vendor)}")
    bi_rads = next((letter for letter in DENSITIES if letter == density), None)
    if density is not None and bi_rads is None:
        raise InvalidSettings(f"expected a --density of {', '.join(DENSITIES)}, got {printable(density)}")
    return PhantomOptions(
        patients=patients,
        seed=seed,
        appearance=VENDORS[vendor](),
        positive=positive,
        density=bi_rads,
        extras=Extras(marker=True, clip=True, distributions=True) if extras else None,
        for_processing=for_processing,
    )


def phantom_command(options: PhantomOptions, *, out: Path) -> None:
    """Draw phantom patients into a folder."""
    written = write_phantoms(
        options,
        out=out,
        progress=lambda seeds: track(seeds, "Drawing", console=Console(stderr=True), transient=True),
    )
    typer.echo(
        f"{options.patients} phantom patients, {written.views} views, {written.clusters} clusters in {out}"
    )
