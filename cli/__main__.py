"""The commands of `yolo-mlsam`. Each is a few lines: options in, one function of a lower layer called."""

from __future__ import annotations

from importlib.metadata import version as installed_version
from pathlib import Path
from typing import Annotated, Any

import typer

from mammo.errors import MammoError

app = typer.Typer(
    name="yolo-mlsam",
    help="Semi-automatic annotation of breast microcalcification clusters with Label Studio.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
models = typer.Typer(help="List model versions; roll the champion back.", no_args_is_help=True)
app.add_typer(models, name="models")


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"yolo-mlsam {installed_version('yolo-mlsam')}")
        raise typer.Exit


@app.callback()
def _common(
    version: Annotated[  # read by its callback
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Semi-automatic annotation of breast microcalcification clusters with Label Studio."""


@app.command()
def prelabel(
    files: Annotated[
        list[Path], typer.Argument(help="DICOM, PNG, JPEG, TIFF or PGM files.", metavar="FILE...")
    ],
    out: Annotated[Path, typer.Option(help="Folder for NAME.json and NAME.overlay.png.", file_okay=False)],
    spacing: Annotated[
        float | None,
        typer.Option(help="Millimetres per pixel, for files that do not state it.", min=0.01, max=1.0),
    ] = None,
    model: Annotated[
        str,
        typer.Option(help="Model version; 'champion' is the registry's, or the starter without a registry."),
    ] = "champion",
) -> None:
    """Find clusters in mammograms, without any server. Exit code 2: at least one file could not be read."""
    from cli.prelabel import prelabel_files

    raise typer.Exit(prelabel_files(files, out=out, spacing=spacing, model=model))


@app.command("import")
def import_(
    files: Annotated[list[Path], typer.Argument(help="DICOM files or folders.", metavar="FILE...")],
    project: Annotated[int, typer.Option(help="Label Studio project id.")],
    twins: Annotated[Path, typer.Option(help="Folder that Label Studio serves as local files.")],
) -> None:
    """Make an 8-bit twin and a Label Studio task for each DICOM file below YOLO_MLSAM_MAMMOGRAM_ROOT."""
    from cli.importing import import_command

    raise typer.Exit(import_command(files, project=project, twins=twins))


@app.command()
def connect(
    project: Annotated[int, typer.Option(help="Label Studio project id.")],
    url: Annotated[str, typer.Option(help="Where Label Studio reaches the backend.")],
) -> None:
    """Connect a Label Studio project to the backend: ML backend and webhook, each exactly once."""
    from cli.project import connect as run

    run(project=project, url=url)


@app.command("prelabel-project")
def prelabel_project(
    project: Annotated[int, typer.Option(help="Label Studio project id.")],
    wait: Annotated[bool, typer.Option(help="Follow the job to its end.")] = True,
) -> None:
    """Let the worker prelabel every task of a project that the champion has not prelabelled yet."""
    from cli.project import prelabel_project as run

    run(project=project, wait=wait)


@app.command()
def serve() -> None:
    """Run the Label Studio ML backend; settings come from the environment."""
    from backend.__main__ import main as run

    run()


@app.command()
def work() -> None:
    """Run one worker for training and prelabelling jobs; settings come from the environment."""
    from worker.__main__ import main as run

    raise typer.Exit(run([]))


@app.command()
def demo(
    label_studio: Annotated[
        Path, typer.Option(help="The label-studio program, in its own environment.")
    ] = Path(".venv-label-studio/bin/label-studio"),
    patients: Annotated[int, typer.Option(min=9, help="Phantom patients, four views each.")] = 10,
    rounds: Annotated[int, typer.Option(min=1, max=5, help="Turns of correct, train, gate.")] = 1,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Label Studio's port; 0 takes a free one.")] = 0,
    keep: Annotated[
        Path | None, typer.Option(help="Keep all files in this folder; an existing one must be empty.")
    ] = None,
    exit_: Annotated[bool, typer.Option("--exit", help="Stop everything at the end.")] = False,
    recipe: Annotated[str, typer.Option(help="Training recipe: demo, or smoke for a quick look.")] = "demo",
    seed: Annotated[int, typer.Option(min=0, help="Seed of the phantoms.")] = 100,
) -> None:
    """Turn the whole loop on this machine: phantoms, Label Studio, corrections, retraining, gate, hot reload."""
    from cli.demo.command import DemoOptions, run_demo

    options = DemoOptions(
        label_studio=label_studio,
        patients=patients,
        rounds=rounds,
        port=port,
        keep=keep,
        exit=exit_,
        recipe=recipe,
        seed=seed,
    )
    raise typer.Exit(run_demo(options))


@app.command("train-starter")
def train_starter(
    out: Annotated[Path, typer.Option(help="Folder for the two weight files and their manifest.")],
    work: Annotated[Path, typer.Option(help="Folder for phantoms and checkpoints.")] = Path("data/starter"),
    smoke: Annotated[bool, typer.Option(help="A few seconds of training, to try the command.")] = False,
) -> None:
    """Train the starter model on phantoms by its committed recipe (about half an hour on two cores)."""
    from cli.starter import train_starter as train

    train(out=out, work=work, smoke=smoke)


@models.command("list")
def list_models() -> None:
    """Every model version with its parents and scores; the champion is marked."""
    from cli.models import list_versions

    list_versions()


@models.command("rollback")
def roll_back(
    reason: Annotated[str, typer.Option(help="Why; kept in the history.")],
) -> None:
    """Make the previous champion the champion again; a running backend loads it within seconds."""
    from cli.models import roll_back as run

    run(reason)


def main(arguments: list[str] | None = None) -> Any:
    """Entry point. A deliberate error is one line on stderr and exit code 1, never a traceback."""
    try:
        return app(arguments)
    except MammoError as error:
        typer.echo(f"yolo-mlsam: {error}", err=True)
        raise SystemExit(1) from None


if __name__ == "__main__":
    main()
