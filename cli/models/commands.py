"""`yolo-mlsam models`: look at model versions, choose who serves, carry versions to other sites, tidy up."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

models = typer.Typer(
    help="List, compare, promote and roll back model versions; export, import, tidy up.", no_args_is_help=True
)

Version = Annotated[
    str,
    typer.Argument(help="Version, or one of the aliases champion, challenger, previous.", metavar="VERSION"),
]
Reason = Annotated[str, typer.Option(help="Why; kept in the history with your name.")]


@models.command("list")
def list_models() -> None:
    """Every model version with its parent and its verdict; where the aliases point."""
    from cli.models.listing import list_versions

    list_versions()


@models.command("show")
def show(
    version: Version = "champion",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """All that is known of a version: manifest, verdict, notes, every time it served."""
    from cli.models.listing import show_version

    show_version(version, as_json=as_json)


@models.command("diff")
def diff(one: Version, other: Version) -> None:
    """What differs between the manifests and verdicts of two versions."""
    from cli.models.listing import diff_versions

    diff_versions(one, other)


@models.command("shadow")
def shadow(
    project: Annotated[int, typer.Option(help="Project whose tasks both have looked at.", min=1)],
    first: Version = "champion",
    second: Version = "challenger",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """What two versions said of the same tasks: how far they agree, and how far each is from the corrections."""
    from cli.models.shadowing import compare

    compare(project, first, second, as_json=as_json)


@models.command("promote")
def promote(version: Version, reason: Reason) -> None:
    """Make a version the champion by hand, whatever the gate said; the reason is kept. Its files are checked first."""
    from cli.models.moving import promote as run

    run(version, reason)


@models.command("rollback")
def roll_back(reason: Reason) -> None:
    """Make the previous champion the champion again; a running backend loads it within seconds."""
    from cli.models.moving import roll_back as run

    run(reason)


@models.command("history")
def history() -> None:
    """Every move of every alias: when, who, why."""
    from cli.models.listing import list_moves

    list_moves()


@models.command("keygen")
def keygen(
    path: Annotated[Path, typer.Argument(help="File for the private key; keep it secret.", dir_okay=False)],
) -> None:
    """Make a key to sign bundles with, and print the public key that the receiving sites must trust."""
    from cli.models.carrying import keygen as run

    run(path)


@models.command("export")
def export(
    version: Version,
    key: Annotated[Path, typer.Option(help="Private key, see keygen.", exists=True, dir_okay=False)],
    to: Annotated[Path | None, typer.Option(help="File; default VERSION.mlsam.", dir_okay=False)] = None,
) -> None:
    """Write a version to one signed file, for a site that no network reaches."""
    from cli.models.carrying import export as run

    run(version, key=key, to=to)


@models.command("import")
def import_(
    bundle: Annotated[Path, typer.Argument(help="A file that export wrote.", exists=True, dir_okay=False)],
    trust: Annotated[
        list[str] | None,
        typer.Option(help="Public key to trust, besides YOLO_MLSAM_TRUSTED_KEYS.", metavar="HEX"),
    ] = None,
) -> None:
    """Register the version of a bundle, if a trusted key signed it. It does not serve before it is promoted."""
    from cli.models.carrying import import_ as run

    run(bundle, trust=trust or [])


@models.command("gc")
def gc(
    delete: Annotated[
        bool, typer.Option("--delete", help="Delete; without it only say what would go.")
    ] = False,
    older_than: Annotated[
        int,
        typer.Option(help="Age in days of versions that never served, before their weights may go.", min=1),
    ] = 90,
) -> None:
    """Free the disk: weights of old versions that never served, and files that nothing refers to.

    Champions, past and present, stay, and what projects are pinned to, dataset versions, manifests and verdicts.
    """
    from cli.models.tidying import gc as run

    run(delete=delete, older_than=older_than)
