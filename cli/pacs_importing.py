"""The work of `yolo-mlsam pacs query` and `pacs import`."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.progress import track
from rich.table import Table

from cli.current_user import current_user
from cli.import_mammograms import report
from cli.site_choice import changing_site
from cli.text_console import text_console
from mammo.exchange.import_target import Screen
from mammo.exchange.importing import Rules
from mammo.pacs import PacsOutcome, Query, find
from mammo.pacs.import_order import ImportOrder
from mammo.pacs.importer import Imported
from mammo.pacs.studies import by_study
from mammo.printable import printable_path
from mammo.site import Site


def query_command(query: Query, *, priors: bool, limit: int, offset: int, as_json: bool) -> None:
    """Print what the PACS has; raises PacsError and InvalidSettings."""
    with Site.load() as site:
        found = list(find(site.pacs, query, priors=priors, limit=limit, offset=offset))
    console = text_console(soft_wrap=as_json)
    if as_json:
        console.print_json(data=[each.to_json() for each in found])
        return
    table = Table("day", "patient", "accession", "study", "images", "left out")
    studies = by_study(found)
    for each in studies:
        day = f"{each.day}{' (prior)' if each.is_prior else ''}"
        left_out = "; ".join(f"{count} {reason}" for reason, count in each.left_out.items())
        table.add_row(day, each.patient, each.accession, each.study, ", ".join(each.views), left_out)
    console.print(table)
    taken = sum(not each.skipped for each in found)
    console.print(f"{taken} images of {len(studies)} studies; {len(found) - taken} left out")


@dataclass(frozen=True, kw_only=True)
class PacsImport:
    """One import from the PACS."""

    order: ImportOrder
    project: int
    twins: Path | None
    identified: bool
    screen: Screen | None
    show_year: bool

    def run(self) -> int:
        """Return 0, or 2 if an image was refused or must be looked at.

        Raises:
            InvalidSettings: PACS, folders or the secret are not set.
            PacsError: the PACS cannot be asked; what had arrived of whole studies is imported all the same.
            LabelStudioError: Label Studio does not answer or refuses.
        """
        rules = Rules(
            allow_identified=self.identified,
            convert_for_processing=not self.order.query.only_for_presentation,
        )
        imported = Imported()
        with changing_site(creates=True) as site:
            into = site.import_target(
                self.project, rules=rules, twins=self.twins, screen=self.screen, show_year=self.show_year
            )
            importer = site.pacs_importer(into)
            try:
                importer.run(self.order, actor=current_user(), imported=imported, progress=_progress)
            finally:  # also after an interrupt: the same command continues from here
                _report(imported.retrieved)
                report(imported.tasks, project=self.project)
        return 0 if imported.is_whole else 2


def _report(outcome: PacsOutcome) -> None:
    for line in outcome.refused:
        typer.echo(line, err=True)
    for path in outcome.flagged:
        typer.echo(
            f"{printable_path(path)}: text over the breast, or no breast found; if it names nobody, move it to the "
            "folder above and repeat the command",
            err=True,
        )
    for reason, count in sorted(outcome.skipped.items()):
        typer.echo(f"left out: {count} images, {reason}", err=True)
    if outcome.num_incomplete:
        typer.echo(f"{outcome.num_incomplete} studies are not complete yet and were not imported", err=True)
    typer.echo(f"{outcome.num_new} images from the PACS, {outcome.num_present} were here already")


def _progress(stage: str, finished: Iterable[Any], total: int) -> Iterable[Any]:
    return track(finished, stage, total=total, console=Console(file=sys.stderr))
