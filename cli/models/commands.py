"""`yolo-mlsam models`: list, compare, promote, export, import and clean up model versions."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

models = typer.Typer(
    help="List, compare, promote and roll back model versions; export, import, clean up.",
    no_args_is_help=True,
)

Version = Annotated[
    str,
    typer.Argument(
        help="Model version, its beginning, or champion, challenger or previous.", metavar="VERSION"
    ),
]
Reason = Annotated[str, typer.Option(help="Why; recorded in the history with your user name.")]


@models.command("list")
def list_models() -> None:
    """List every model version with parent, verdict and aliases."""
    from cli.models.listing import list_versions

    list_versions()


@models.command("show")
def show(
    version: Version = "champion",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show a model version: manifest, verdict, notes, and when it became champion."""
    from cli.models.listing import show_version

    show_version(version, as_json=as_json)


@models.command("card")
def card(
    version: Version = "champion",
    out: Annotated[
        Path | None, typer.Option(help="Markdown file to write; default: print it.", dir_okay=False)
    ] = None,
    names: Annotated[
        bool, typer.Option("--names", help="Name readers as Label Studio does; default: their pseudonyms.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Write the model card: data, recipe, figures with intervals, licence, limits, what was never tested."""
    from cli.models.cards import write_card

    write_card(version, out=out, names=names, as_json=as_json)


@models.command("check-precision")
def check_precision(
    dataset: Annotated[str, typer.Option(help="Dataset version (SHA-256), on whose validation fold.")],
    version: Version = "champion",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Check whether a version's detector may compute in bfloat16 here, which is about twice as fast.

    It may if it finds the same as in float32 on the validation patients: an equal FROC, and no loss at the operating
    point. The result is noted with the version and holds for this kind of processor and this release;
    YOLO_MLSAM_RUNTIME=auto goes by it. Retrains do this by themselves. Exit code 1: float32 goes on serving.
    """
    from cli.models.precision import check_precision as run

    raise typer.Exit(run(version, dataset=dataset, as_json=as_json))


@models.command("compare")
def compare(
    project: Annotated[int, typer.Option(help="Label Studio project whose verdicts are compared.", min=1)],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Compare the versions judged in a project on the held-out images that every verdict has seen."""
    from cli.models.cards import compare_judged

    compare_judged(project, as_json=as_json)


@models.command("diff")
def diff(one: Version, other: Version) -> None:
    """Compare the manifests and verdicts of two model versions."""
    from cli.models.listing import diff_versions

    diff_versions(one, other)


@models.command("shadow")
def shadow(
    project: Annotated[
        int, typer.Option(help="Label Studio project that both versions have predicted.", min=1)
    ],
    first: Version = "champion",
    second: Version = "challenger",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    pictures: Annotated[
        Path | None,
        typer.Option(help="HTML file to write, with pictures of where they differ most.", dir_okay=False),
    ] = None,
) -> None:
    """Compare two versions' predictions of the same tasks: with each other, and with the corrections.

    The file of --pictures shows parts of mammograms: keep it as you keep those.
    """
    from cli.models.shadowing import compare

    compare(project, first, second, as_json=as_json, pictures=pictures)


@models.command("promote")
def promote(version: Version, reason: Reason) -> None:
    """Make a version the champion, whatever the gate's verdict. Its files are verified first."""
    from cli.models.moving import promote as run

    run(version, reason)


@models.command("rollback")
def roll_back(reason: Reason) -> None:
    """Make the previous champion the champion again. Running backends load it within seconds."""
    from cli.models.moving import roll_back as run

    run(reason)


@models.command("withdraw")
def withdraw(
    project: Annotated[int, typer.Option(help="Project that a provisional model serves.", min=1)],
    reason: Reason,
) -> None:
    """End the service of a project's provisional model: from then on the champion serves the project."""
    from cli.models.moving import withdraw as run

    run(project, reason)


@models.command("pin")
def pin(
    version: Version,
    project: Annotated[int, typer.Option(help="Label Studio project that stays with this version.", min=1)],
    reason: Reason,
) -> None:
    """Keep a project on a version, whatever the champion becomes. The version's files are verified first.

    Running backends serve it within seconds, without a restart. A project that YOLO_MLSAM_PROJECT_MODELS names is
    pinned there, and cannot be pinned here.
    """
    from cli.models.moving import pin as run

    run(project, version, reason)


@models.command("unpin")
def unpin(
    project: Annotated[int, typer.Option(help="Project that is pinned.", min=1)],
    reason: Reason,
) -> None:
    """Let a project that was pinned follow the champion again, or its provisional model if it has one."""
    from cli.models.moving import unpin as run

    run(project, reason)


@models.command("history")
def history() -> None:
    """List every promotion, rollback and other move of an alias: when, who, why."""
    from cli.models.listing import list_moves

    list_moves()


@models.command("keygen")
def keygen(
    path: Annotated[Path, typer.Argument(help="File of the private key; keep it secret.", dir_okay=False)],
) -> None:
    """Make a key that signs bundles; print the public key, which the receiving sites must trust."""
    from cli.models.carrying import keygen as run

    run(path)


@models.command("export")
def export(
    version: Version,
    key: Annotated[
        Path | None,
        typer.Option(help="Private key made by keygen; needed for mlsam.", exists=True, dir_okay=False),
    ] = None,
    to: Annotated[
        Path | None,
        typer.Option(
            help="File to write; default: VERSION.mlsam or VERSION-openvino.zip. For openvino also a new folder."
        ),
    ] = None,
    form: Annotated[
        Literal["mlsam", "openvino"],
        typer.Option(
            "--format",
            help="mlsam: one signed file for an installation of ours. openvino: networks, a program, a card and a "
            "self-test, for others.",
        ),
    ] = "mlsam",
    same_site: Annotated[
        bool,
        typer.Option(
            "--same-site",
            help="The receiving installation is this site's own: also export weights that must not leave it.",
        ),
    ] = False,
) -> None:
    """Write a model version to one signed file, for a site without network access, or to run without us.

    With `--format openvino` the bundle needs only numpy, OpenCV, OpenVINO and pydicom: unpack it and run
    `python inference.py --self-test`.
    """
    from cli.models.carrying import export as run
    from cli.models.carrying import export_standalone

    if form == "openvino":
        if key is not None:
            raise typer.BadParameter(
                "--format openvino is not signed; leave --key out and pass on its SHA256SUMS"
            )
        export_standalone(version, to=to, same_site=same_site)
        return
    if key is None:
        raise typer.BadParameter("a bundle is signed: give --key; `yolo-mlsam models keygen` makes one")
    run(version, key=key, to=to, same_site=same_site)


@models.command("import")
def import_(
    bundle: Annotated[Path, typer.Argument(help="File written by export.")],
    trust: Annotated[
        list[str] | None,
        typer.Option(help="Public key to trust in addition to YOLO_MLSAM_TRUSTED_KEYS.", metavar="HEX"),
    ] = None,
) -> None:
    """Register the model version of a bundle signed by a trusted key. It serves only after it is promoted."""
    from cli.models.carrying import import_ as run

    run(bundle, trust=trust or [])


@models.command("gc")
def gc(
    delete: Annotated[bool, typer.Option("--delete", help="Delete; without this option, only list.")] = False,
    older_than: Annotated[
        int,
        typer.Option(help="Keep the weights of younger versions, in days.", min=1),
    ] = 90,
) -> None:
    """Delete weights of old versions that never served, and files that nothing refers to.

    Kept are past and present champions, the challenger, the shadow, versions that a project is pinned to or served by
    or an unfinished run needs, dataset versions, manifests and verdicts.
    """
    from cli.models.tidying import gc as run

    run(delete=delete, older_than=older_than)
