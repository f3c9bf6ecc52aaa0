"""`yolo-mlsam report`: reports as files that need no server."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cli.text_console import text_console

report = typer.Typer(help="Write reports as files that need no server.", no_args_is_help=True)


@report.callback()
def _group() -> None:
    """Write reports as files that need no server."""


@report.command()
def verdict(
    run: Annotated[str, typer.Argument(metavar="RUN", help="Id of a run, or its beginning.")],
    out: Annotated[Path, typer.Option(help="HTML file to write.", dir_okay=False)],
    max_mib: Annotated[
        int, typer.Option("--max-mib", help="Size of its pictures in MiB; the worst places are kept.", min=1)
    ] = 20,
) -> None:
    """Write why a run's challenger won or lost, with pictures, as one HTML file.

    It shows parts of mammograms: keep it as you keep those.
    """
    from cli.pages import write_page
    from mammo.site import Site
    from mammo.verdicts.report import write_report

    with Site.load() as site:
        text = write_report(site.verdicts.runs.find(run), archive=site.verdicts, max_bytes=max_mib * 2**20)
    write_page(out, text)
    text_console(soft_wrap=True, highlight=False).print(f"{out}: {len(text.encode()) / 1e6:.1f} MB")


@report.command()
def evidence(
    out: Annotated[Path, typer.Option(help="New folder to write.", file_okay=False)],
    project: Annotated[
        int | None,
        typer.Option(
            help="Project in Label Studio. Default: the champion, whatever project it serves.", min=1
        ),
    ] = None,
    key: Annotated[
        Path | None,
        typer.Option(help="Private key that signs it; `yolo-mlsam models keygen` makes one.", dir_okay=False),
    ] = None,
) -> None:
    """Write what is known of a project's model, or of the champion, as a folder that can be handed over.

    Model card, data sheet, verdict, history of the gate, audit trail, software, and their hashes; of a project also its
    learning curve, readers (by pseudonym) and signs of automation bias. As a page and as files. It holds no image, and
    claims no regulatory standing.
    """
    from backend.evidence_pack import gather, write_pack
    from mammo.site import Site

    with Site.load() as site:
        files = write_pack(gather(site, project), project=project, to=out, key=key)
    text_console(soft_wrap=True, highlight=False).print(
        f"{out / 'index.html'}, and {len(files) - 1} more files"
    )


@report.command()
def check(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="An evidence pack.", file_okay=False)],
    trust: Annotated[
        list[str] | None,
        typer.Option(help="Public key (hexadecimal) that must have signed it; several times."),
    ] = None,
) -> None:
    """Check that an evidence pack is as it was written, and who signed it."""
    from backend.evidence_pack import check_pack

    number = check_pack(folder, trusted=trust)
    signed = "signed with a trusted key" if trust else "its signature was not checked: give --trust KEY"
    text_console(soft_wrap=True, highlight=False).print(f"{number} files are as they were written; {signed}")
