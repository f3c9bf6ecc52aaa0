"""The commands that set an installation up and run it: `init`, `serve`, `work` and `demo`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def init(
    file: Annotated[
        Path, typer.Argument(help="Settings file to write; it must not exist.", dir_okay=False)
    ] = Path("yolo-mlsam.env"),
    label_studio: Annotated[
        str | None,
        typer.Option(
            "--label-studio", help="Address at which this machine reaches Label Studio.", metavar="URL"
        ),
    ] = None,
    mammograms: Annotated[Path | None, typer.Option(help="Folder of the DICOM files.")] = None,
    twins: Annotated[
        Path | None, typer.Option(help="Folder that Label Studio serves as local files, for the 8-bit twins.")
    ] = None,
    data: Annotated[Path | None, typer.Option(help="Data folder of this service.")] = None,
    redis: Annotated[
        str | None, typer.Option(help="Address of Redis or Valkey, without a password.", metavar="URL")
    ] = None,
    host: Annotated[str | None, typer.Option(help="Address at which the backend listens.")] = None,
    port: Annotated[int | None, typer.Option(help="Port of the backend.", min=1, max=65535)] = None,
    token_stdin: Annotated[
        bool, typer.Option("--token-stdin", help="Read Label Studio's access token from standard input.")
    ] = False,
    no_input: Annotated[
        bool, typer.Option("--no-input", help="Ask nothing: take the options, and the defaults for the rest.")
    ] = False,
) -> None:
    """Write the settings file of an installation, check it, and say what is next.

    What is not given is asked for. Passwords and secrets are generated; the access token is asked for, or read from
    standard input. Exit code 1: the file is written, but a check found something broken.
    """
    from cli.initialising import Answers, init_command

    given = Answers(
        label_studio_url=label_studio,
        mammogram_root=mammograms,
        twin_root=twins,
        data_dir=data,
        redis_url=redis,
        host=host,
        port=port,
    )
    raise typer.Exit(init_command(file, given, token_stdin=token_stdin, asks=not no_input))


def serve(
    insecure: Annotated[
        bool, typer.Option("--insecure", help="Serve without secrets, on this machine only, for trials.")
    ] = False,
) -> None:
    """Run the Label Studio ML backend. Its settings come from the environment and the settings file."""
    from backend.__main__ import main as run

    raise typer.Exit(run(insecure=insecure))


def work(
    queues: Annotated[
        str, typer.Option(help="Queues, comma-separated: train, predict, light.")
    ] = "train,predict,light",
    gpus: Annotated[
        str, typer.Option(help="auto, none, or indices or UUIDs as listed by nvidia-smi, comma-separated.")
    ] = "auto",
) -> None:
    """Run and supervise this machine's workers: one per GPU for training, one for all other queues."""
    from cli.work import work_command

    raise typer.Exit(work_command(queues=queues, gpus=gpus))


def demo(
    label_studio: Annotated[
        Path, typer.Option(help="The label-studio program of a separate environment.")
    ] = Path(".venv-label-studio/bin/label-studio"),
    patients: Annotated[
        int, typer.Option(min=9, help="Phantom patients to correct and to read, four views each.")
    ] = 13,
    held_out: Annotated[
        int, typer.Option(min=2, help="Further patients on whom the gate judges, two views each.")
    ] = 24,
    rounds: Annotated[int, typer.Option(min=1, max=5, help="Rounds of correcting, training and gate.")] = 1,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Label Studio's port; 0: a free one.")] = 0,
    keep: Annotated[
        Path | None, typer.Option(help="Keep all files in this folder, which must be new or empty.")
    ] = None,
    exit_: Annotated[
        bool, typer.Option("--exit", help="Stop at the end, instead of waiting for Ctrl-C.")
    ] = False,
    recipe: Annotated[str, typer.Option(help="Training recipe: demo, or smoke for a quick check.")] = "demo",
    seed: Annotated[int, typer.Option(min=0, help="Seed of the phantoms.")] = 100,
) -> None:
    """Run the whole loop on this machine: phantoms, Label Studio, corrections, retraining, gate, hot reload."""
    from cli.demo.command import DemoOptions, run_demo

    options = DemoOptions(
        label_studio=label_studio,
        patients=patients,
        held_out=held_out,
        rounds=rounds,
        port=port,
        keep=keep,
        exit=exit_,
        recipe=recipe,
        seed=seed,
    )
    raise typer.Exit(run_demo(options))
