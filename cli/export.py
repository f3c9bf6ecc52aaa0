"""`yolo-mlsam export`: write masks of prelabel files or of a project in a standard format."""

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
"""Exit code if anything was not exported."""


def export_command(
    paths: Sequence[Path], *, project: int | None, kind: str, out: Path, images: Path | None
) -> int:
    """Export prelabel files, or a project's annotations. Refused images do not stop the others.

    Returns:
        0, or `REFUSED`.
    """
    if kind not in FORMATS:
        raise InvalidSettings(f"expected a --format of {', '.join(FORMATS)}, got {printable(kind)}")
    if bool(paths) == (project is not None):
        raise InvalidSettings("name either files of `yolo-mlsam prelabel` or a --project")
    items = read_prelabels(paths, images=images) if project is None else _read_project(project)
    out.mkdir(parents=True, exist_ok=True)
    refusals: list[Refusal] = []
    num_images = num_findings = num_cut = 0

    def labelled() -> Iterator[LabelledImage]:
        nonlocal num_images, num_findings, num_cut
        for item in track(items, "Exporting", console=Console(stderr=True), transient=True):
            if isinstance(item, Refusal):
                refusals.append(item)
                continue
            num_images += 1
            num_findings += len(item.findings)
            num_cut += item.facts.get("num_cut", 0)
            yield item

    refusals += FORMATS[kind](labelled(), out)
    for refusal in refusals:
        typer.echo(str(refusal), err=True)
    typer.echo(
        f"{num_images} images with {num_findings} findings as {kind} in {out}; {len(refusals)} refused"
        + (f"; {num_cut} findings are missing, which the prelabels do not show" if num_cut else "")
    )
    return REFUSED if refusals else 0


def _read_project(project: int) -> Iterator[LabelledImage | Refusal]:
    with Site.load() as site:
        yield from read_project(site.client, project, site.images)
