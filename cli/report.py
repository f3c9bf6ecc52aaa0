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
    from mammo.atomic_files import replacing
    from mammo.errors import StorageUnavailable
    from mammo.site import Site
    from mammo.verdicts.report import write_report

    with Site.load() as site:
        text = write_report(site.verdicts.runs.find(run), archive=site.verdicts, max_bytes=max_mib * 2**20)
    try:
        with replacing(out, mode=0o600) as part:
            part.write_text(text, encoding="utf-8")
    except OSError as error:
        raise StorageUnavailable(f"{out} cannot be written ({error.strerror}); name another file") from error
    text_console(soft_wrap=True, highlight=False).print(f"{out}: {len(text.encode()) / 1e6:.1f} MB")
