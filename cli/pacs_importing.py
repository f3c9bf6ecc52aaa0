"""The work of `yolo-mlsam pacs query` and `pacs import`."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.progress import track
from rich.table import Table

from cli.current_user import current_user
from cli.import_mammograms import Project, report
from cli.project.connecting import Screen
from cli.site_choice import changing_site
from cli.text_console import text_console
from mammo.exchange.importing import Outcome, Rules
from mammo.pacs import PacsOutcome, Query, find, record_retrieval, retrieve_studies
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
    for _, members in groupby(found, key=lambda each: each.study):
        images = list(members)
        first = images[0]
        day = f"{first.day}{' (prior)' if first.is_prior else ''}"
        views = ", ".join(f"{each.laterality}{each.view}" or "?" for each in images if not each.skipped)
        reasons = _counted(each.skipped for each in images if each.skipped)
        left_out = "; ".join(f"{count} {reason}" for reason, count in reasons.items())
        table.add_row(day, first.patient, first.accession, first.study, views, left_out)
    console.print(table)
    num_studies = len({each.study for each in found})
    taken = sum(not each.skipped for each in found)
    console.print(f"{taken} images of {num_studies} studies; {len(found) - taken} left out")


def _counted(reasons: Iterable[str]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for each in reasons:
        counts[each] = counts.get(each, 0) + 1
    return counts


@dataclass(frozen=True, kw_only=True)
class PacsImport:
    """One import from the PACS."""

    query: Query
    priors: bool
    limit: int
    offset: int
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
            allow_identified=self.identified, convert_for_processing=not self.query.only_for_presentation
        )
        outcome, tasks = PacsOutcome(), Outcome()
        with changing_site(creates=True) as site:
            into = Project.of(
                site,
                self.project,
                twins=self.twins,
                rules=rules,
                screen=self.screen,
                show_year=self.show_year,
            )
            retriever = site.pacs_retriever(keeps_identity=self.identified)
            images = list(
                find(site.pacs, self.query, priors=self.priors, limit=self.limit, offset=self.offset)
            )
            try:
                failure = retrieve_studies(
                    images,
                    retriever,
                    connections=site.settings.pacs_connections,
                    outcome=outcome,
                    progress=_progress,
                )
                into.import_(outcome.files, tasks)
            finally:  # also after an interrupt: the same command continues from here
                record_retrieval(
                    site.engine,
                    outcome,
                    project=self.project,
                    actor=current_user(),
                    keeps_identity=self.identified,
                )
                _report(outcome)
                report(tasks, project=self.project)
            if failure is not None:
                raise failure
        return 2 if outcome.refused or outcome.flagged or tasks.refused or tasks.listed else 0


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


def _progress(finished: Sequence[Any] | Iterable[Any], total: int) -> Iterable[Any]:
    return track(finished, "Retrieving", total=total, console=Console(file=sys.stderr))
