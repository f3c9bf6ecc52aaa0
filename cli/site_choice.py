"""The installation that a command works on: `--site`, and the line that says which one a command is about to change."""

from __future__ import annotations

import os
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mammo.errors import InvalidSettings

if TYPE_CHECKING:
    from mammo.site import Site

VARIABLE = "YOLO_MLSAM_SITE"

SiteOption = Annotated[
    Path | None,
    typer.Option(
        "--site",
        help="Settings file; default: YOLO_MLSAM_SITE, else yolo-mlsam.env in the working directory, if any.",
    ),
]
QuietOption = Annotated[
    bool, typer.Option("--quiet", "-q", help="Do not say which installation a command changes.")
]


_says_site: ContextVar[bool] = ContextVar("_says_site", default=False)
"""Whether a command says which installation it changes; false outside a command line."""


def choose_site(context: typer.Context, file: Path | None, *, quiet: bool) -> None:
    """Make a settings file that of this command, and of the processes that it starts.

    Args:
        quiet: do not say which installation the command changes.

    Raises:
        InvalidSettings: there is no such file.
    """
    token = _says_site.set(not quiet)
    context.call_on_close(lambda: _says_site.reset(token))
    if file is None:
        return
    if not file.is_file():
        raise InvalidSettings(f"--site {file} does not exist; `yolo-mlsam init {file}` writes it")
    before = os.environ.get(VARIABLE)

    def restore() -> None:
        os.environ.pop(VARIABLE)
        if before is not None:
            os.environ[VARIABLE] = before

    context.call_on_close(restore)
    os.environ[VARIABLE] = str(file.resolve())


def changing_site(*, creates: bool = False) -> Site:
    """Return the installation, after one line on stderr that says which one the command changes (not with --quiet)."""
    from mammo.site import Site

    site = Site.load(creates=creates)
    if _says_site.get():
        settings = site.settings
        place = settings.site or "settings of the environment"
        label_studio = settings.label_studio_url or "not set"
        typer.echo(f"site: {place} (data {settings.data_dir}, Label Studio {label_studio})", err=True)
    return site
