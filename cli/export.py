"""`yolo-mlsam export`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import typer
from rich.console import Console
from rich.progress import track

from mammo.errors import InvalidSettings
from mammo.exchange.export.formats import FORMATS
from mammo.exchange.export.labelled_image import LabelledImage, Refusal
from mammo.exchange.export.prelabels import read_prelabels
from mammo.exchange.export.project import read_project
from mammo.printable import printable
from mammo.site import Site

REFUSED = 2
"""Exit code when anything was not exported."""


def export_command(
    paths: Sequence[Path], *, project: int | None, kind: str, out: Path, images: Path | None
) -> int:
    """Export prelabel files, or a project.

    Returns:
        0, or `REFUSED`; what can be exported is exported all the same.
    """
    if kind not in FORMATS:
        raise InvalidSettings(f"expected a --format of {', '.join(FORMATS)}, got {printable(kind)}")
    if bool(paths) == (project is not None):
        raise InvalidSettings("name either files of `yolo-mlsam prelabel` or a --project, and not both")
    found = read_prelabels(paths, images=images) if project is None else _project(project)
    out.mkdir(parents=True, exist_ok=True)
    refusals: list[Refusal] = []
    count = [0, 0]

    def labelled() -> Iterator[LabelledImage]:
        for item in track(found, "Exporting", console=Console(stderr=True), transient=True):
            if isinstance(item, Refusal):
                refusals.append(item)
                continue
            count[0] += 1
            count[1] += len(item.findings)
            yield item

    refusals += FORMATS[kind](labelled(), out)
    for refusal in refusals:
        typer.echo(str(refusal), err=True)
    typer.echo(f"{count[0]} images with {count[1]} findings as {kind} in {out}; {len(refusals)} refused")
    return REFUSED if refusals else 0


def _project(project: int) -> Iterator[LabelledImage | Refusal]:
    with Site.load() as site:
        yield from read_project(site.client, project, site.images)
