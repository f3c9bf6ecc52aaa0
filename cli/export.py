"""`yolo-mlsam export`: findings of prelabel files or of a project as files of a standard format, or to the PACS."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import typer
from rich.console import Console
from rich.progress import track

from cli.current_user import current_user
from mammo.errors import InvalidSettings
from mammo.exchange.export.formats import FORMATS
from mammo.exchange.export.labelled_image import LabelledImage, Refusal
from mammo.exchange.export.prelabels import read_prelabels
from mammo.printable import printable
from mammo.result_kinds import RESULT_KINDS
from mammo.site import Site

REFUSED = 2
"""Exit code if anything was not exported, or waits for the PACS."""

WITH_COMMENTS = ("coco", "sr")
"""Formats that can hold what a person wrote about a finding."""

PACS = "pacs"
"""The destination of `--to`."""


class _Items:
    """Counts what is exported, and sets aside what is refused."""

    def __init__(self, items: Iterator[LabelledImage | Refusal]) -> None:
        self._items = items
        self.num_images = self.num_findings = self.num_cut = 0
        self.refusals: list[Refusal] = []

    def __iter__(self) -> Iterator[LabelledImage]:
        for item in track(self._items, "Exporting", console=Console(stderr=True), transient=True):
            if isinstance(item, Refusal):
                self.refusals.append(item)
                continue
            self.num_images += 1
            self.num_findings += len(item.findings)
            self.num_cut += item.facts.get("num_cut", 0)
            yield item

    def summary(self, where: str) -> str:
        missing = (
            f"; {self.num_cut} findings are missing, which the prelabels do not show" if self.num_cut else ""
        )
        num_refused = len(self.refusals)
        return f"{self.num_images} images with {self.num_findings} findings {where}; {num_refused} refused{missing}"


def export_command(
    paths: Sequence[Path],
    *,
    project: int | None,
    kind: str,
    out: Path | None,
    images: Path | None,
    to: str = "",
    comments: bool = False,
) -> int:
    """Export prelabel files, or a project's annotations. Refused images do not stop the others.

    Args:
        comments: export what people wrote about findings too.

    Returns:
        0, or `REFUSED`.
    """
    if kind not in FORMATS:
        raise InvalidSettings(f"expected a --format of {', '.join(FORMATS)}, got {printable(kind)}")
    if bool(paths) == (project is not None):
        raise InvalidSettings("name either files of `yolo-mlsam prelabel` or a --project")
    if to not in ("", PACS) or bool(to) == (out is not None):
        raise InvalidSettings(f"name either a folder by --out, or --to {PACS}")
    if to and kind not in RESULT_KINDS:
        raise InvalidSettings(
            f"--to {PACS} sends a --format of {', '.join(RESULT_KINDS)}, got {printable(kind)}"
        )
    if comments and (project is None or kind not in WITH_COMMENTS):
        raise InvalidSettings(
            f"--comments needs a --project and a --format of {', '.join(WITH_COMMENTS)}, which can hold comments"
        )
    with Site.load() as site:
        items = _Items(_read(site, paths, project=project, images=images, comments=comments))
        if out is None:
            return _send(site, items, kind)
        out.mkdir(parents=True, exist_ok=True)
        items.refusals += FORMATS[kind](items, out)
        _list(items)
        typer.echo(items.summary(f"as {kind} in {out}"))
        return REFUSED if items.refusals else 0


def _read(
    site: Site, paths: Sequence[Path], *, project: int | None, images: Path | None, comments: bool
) -> Iterator[LabelledImage | Refusal]:
    if project is None:
        return read_prelabels(paths, images=images, weights=site.weights_of)
    return site.labelled_images(project, comments=comments)


def _send(site: Site, items: _Items, kind: str) -> int:
    """Put results into the outbox, and send what is due."""
    (known,) = (each for each in RESULT_KINDS if each == kind)
    queued = site.pacs_results.queue(items, known, actor=current_user())
    items.refusals += queued.refusals
    _list(items)
    typer.echo(
        items.summary(f"as {kind}")
        + f"; {queued.num_new} results are new or changed, {queued.num_unchanged} as they were"
    )
    return max(send_due(site), REFUSED if items.refusals else 0)


def send_due(site: Site) -> int:
    """Send what is due to the PACS, and say what became of it.

    Returns:
        0, or `REFUSED` if results wait or were refused.
    """
    sent = site.pacs_results.send()
    for problem in dict.fromkeys(sent.problems):
        typer.echo(problem, err=True)
    waiting = site.pacs_results.outbox.counts().get("waiting", 0)
    typer.echo(f"{sent.num_delivered} results sent to the PACS, {waiting} wait")
    return REFUSED if waiting or sent.problems else 0


def _list(items: _Items) -> None:
    for refusal in items.refusals:
        typer.echo(str(refusal), err=True)
