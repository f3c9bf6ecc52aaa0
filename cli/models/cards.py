"""`models card` and `models compare`: model cards, and versions on the same held-out images."""

from __future__ import annotations

from pathlib import Path

import orjson
from rich.table import Table

from backend.card_document import estimate
from backend.model_evidence import describe, figures_of
from cli.models.names import find_version
from cli.text_console import text_console
from mammo.atomic_files import replacing
from mammo.errors import StorageUnavailable
from mammo.printable import printable
from mammo.readers import names_by_pseudonym
from mammo.site import Site


def write_card(name: str, *, out: Path | None, names: bool, as_json: bool) -> None:
    """Print a model card, or write it as Markdown."""
    with Site.load() as site:
        document = describe(site, find_version(site.registry, name))
        if names:
            secret = site.settings.annotator_secret
            found = names_by_pseudonym(site.client, secret=secret)
            document = document.with_names({each: printable(name) for each, name in found.items()})
    console = text_console(soft_wrap=True, highlight=False)
    if as_json:
        console.print_json(orjson.dumps(document.to_json()).decode())
        return
    if out is None:
        console.print(document.to_markdown(), markup=False)
        return
    try:
        with replacing(out) as part:
            part.write_text(document.to_markdown(), encoding="utf-8")
    except OSError as error:
        raise StorageUnavailable(f"{out} cannot be written ({error.strerror}); name another file") from error
    console.print(f"{out}: card of {document.version}", markup=False)


def compare_judged(project: int, *, as_json: bool) -> None:
    """Print the versions of a project's newest verdicts on the images that all of them have."""
    with Site.load() as site:
        figures = figures_of(site, project)
    console = text_console(soft_wrap=as_json, highlight=False)
    if as_json:
        console.print_json(orjson.dumps(figures.to_json() if figures else None).decode())
        return
    if figures is None:
        console.print(f"no held-out image was seen by all verdicts of project {project}")
        return
    console.print(f"{figures.patients} patients, {figures.images} images, {figures.lesions} clusters")
    table = Table("version", "sensitivity", "false alarms/image", "Dice, all clusters")
    for each in figures.versions:
        table.add_row(
            each.version, estimate(each.sensitivity), estimate(each.false_positives), estimate(each.dice)
        )
    console.print(table)
    console.print("at its own operating point; in brackets 5th and 95th percentile over draws of patients")
