"""The commands of `yolo-mlsam`. Each parses its options and calls one function."""

from __future__ import annotations

import sys
from importlib.metadata import version as installed_version
from io import TextIOWrapper
from pathlib import Path
from typing import Annotated, Any, Literal

import structlog
import typer

from cli.adapt import adapt
from cli.audit import audit
from cli.background_commands import backgrounds
from cli.console_users import console
from cli.dataset_versions import app as dataset_versions
from cli.evaluate import evaluate
from cli.import_commands import import_mammograms
from cli.import_dataset import import_dataset
from cli.labels import labels
from cli.models.commands import models
from cli.notifications import notifications
from cli.order import order
from cli.pacs import pacs
from cli.project.commands import connect, doctor, project
from cli.project.commands import prelabel as prelabel_project
from cli.readers import readers
from cli.reading.commands import reading
from cli.report import report
from cli.runs import runs
from cli.service_commands import demo, init, serve, work
from cli.site_choice import QuietOption, SiteOption, choose_site
from cli.stages import stage
from cli.train import train
from cli.weight_commands import weights
from cli.words import words
from mammo.errors import MammoError

app = typer.Typer(
    name="yolo-mlsam",
    help="Semi-automatic annotation of breast microcalcification clusters with Label Studio.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
LABEL_STUDIO = "Label Studio"
IMAGES = "Images and findings"
READINGS = "Corrections and readings"
SERVICE = "Run the service"
MODELS = "Models and training"
"""Sections of `--help`."""

app.add_typer(console, name="console", rich_help_panel=SERVICE)
app.add_typer(audit, name="audit", rich_help_panel=SERVICE)
app.add_typer(models, name="models", rich_help_panel=MODELS)
app.add_typer(weights, name="weights", rich_help_panel=MODELS)
app.add_typer(backgrounds, name="backgrounds", rich_help_panel=MODELS)
app.command(rich_help_panel=MODELS)(adapt)
app.add_typer(train, name="train", rich_help_panel=MODELS)
app.add_typer(runs, name="runs", rich_help_panel=MODELS)
app.add_typer(report, name="report", rich_help_panel=MODELS)
app.add_typer(evaluate, name="evaluate", rich_help_panel=MODELS)
app.add_typer(project, name="project", rich_help_panel=LABEL_STUDIO)
app.command(rich_help_panel=LABEL_STUDIO)(doctor)
app.command(rich_help_panel=LABEL_STUDIO)(connect)
app.command("prelabel-project", rich_help_panel=LABEL_STUDIO)(prelabel_project)
for command in (init, serve, work, demo):
    app.command(rich_help_panel=SERVICE)(command)
app.add_typer(dataset_versions, name="dataset", rich_help_panel=READINGS)
app.add_typer(labels, name="labels", rich_help_panel=READINGS)
app.add_typer(reading, name="reading", rich_help_panel=READINGS)
app.add_typer(readers, name="readers", rich_help_panel=READINGS)
app.add_typer(words, name="words", rich_help_panel=READINGS)
app.add_typer(stage, name="stage", rich_help_panel=LABEL_STUDIO)
app.add_typer(pacs, name="pacs", rich_help_panel=IMAGES)
app.add_typer(order, name="order", rich_help_panel=LABEL_STUDIO)
app.add_typer(notifications, name="notifications", rich_help_panel=SERVICE)


def _print_version(requested: bool) -> None:
    if requested:
        typer.echo(f"yolo-mlsam {installed_version('yolo-mlsam')}")
        raise typer.Exit


@app.callback()
def _common(
    context: typer.Context,
    version: Annotated[  # handled by its callback
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
    site: SiteOption = None,
    quiet: QuietOption = False,
) -> None:
    """Semi-automatic annotation of breast microcalcification clusters with Label Studio."""
    choose_site(context, site, quiet=quiet)
    if not structlog.is_configured():
        structlog.configure(logger_factory=_to_stderr)


def _to_stderr(*_: Any) -> structlog.PrintLogger:
    """Log to stderr: stdout is for results, which may be JSON."""
    return structlog.PrintLogger(sys.stderr)


@app.command(rich_help_panel=IMAGES)
def prelabel(
    files: Annotated[
        list[Path],
        # Checked file by file, so that one bad file stops no other; typer would refuse them all.
        typer.Argument(
            help="DICOM, PNG, JPEG, TIFF or PGM files, or folders.", metavar="FILE...", readable=False
        ),
    ],
    out: Annotated[Path, typer.Option(help="Folder for NAME.json and NAME.overlay.png.", file_okay=False)],
    spacing: Annotated[
        float | None,
        typer.Option(help="Pixel spacing in mm, for files that do not state it.", min=0.01, max=1.0),
    ] = None,
    model: Annotated[
        str,
        typer.Option(
            help="Model version; champion is the registry's, or the starter if there is no registry."
        ),
    ] = "champion",
    convert_for_processing: Annotated[
        bool,
        typer.Option(
            "--convert-for-processing",
            help="Also accept raw detector values, and convert them.",
        ),
    ] = False,
    calcifications: Annotated[
        bool,
        typer.Option(
            "--calcifications",
            help="Also outline and measure the calcifications of each cluster, from 0.2 mm.",
        ),
    ] = False,
    csv: Annotated[
        Path | None, typer.Option(help="Also write this CSV file, a row per finding.", dir_okay=False)
    ] = None,
) -> None:
    """Detect and segment clusters in mammograms, without a server. Exit code 2: a file could not be read."""
    from cli.prelabel import PrelabelOptions, prelabel_files

    options = PrelabelOptions(
        out=out,
        spacing=spacing,
        model=model,
        convert_for_processing=convert_for_processing,
        calcifications=calcifications,
        csv=csv,
    )
    raise typer.Exit(prelabel_files(files, options))


@app.command(rich_help_panel=IMAGES)
def deidentify(
    files: Annotated[
        list[Path], typer.Argument(help="DICOM files or folders.", metavar="IN...", readable=False)
    ],
    out: Annotated[Path, typer.Option(help="Folder for the new files, outside the inputs.", file_okay=False)],
) -> None:
    """De-identify DICOM files, with pseudonyms keyed by YOLO_MLSAM_PATIENT_SECRET.

    Exit code 2: some files were refused or must be checked; see the report.
    """
    from cli.deidentify import deidentify_command

    raise typer.Exit(deidentify_command(files, out=out))


@app.command(rich_help_panel=READINGS)
def reconcile(
    projects: Annotated[
        list[int] | None, typer.Argument(help="Label Studio projects; default: all with stored corrections.")
    ] = None,
    complete: Annotated[
        bool,
        typer.Option(
            "--complete", help="Compare every task, not only those changed since the last reconciliation."
        ),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    read_anew: Annotated[
        bool,
        typer.Option(
            "--reread/--no-reread",
            help="Also read the annotations again, and compare them with the newest dataset version.",
        ),
    ] = True,
) -> None:
    """Reconcile the stored corrections with Label Studio, and compare them with the newest dataset version."""
    from cli.reconciling import reconcile_command

    reconcile_command(projects or [], complete=complete, as_json=as_json, read_anew=read_anew)


@app.command(rich_help_panel=READINGS)
def trace(
    annotation: Annotated[int, typer.Argument(help="Label Studio annotation id.", min=1)],
    comments: Annotated[
        bool, typer.Option("--comments", help="Show what people wrote about findings. It may name a patient.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Trace an annotation: its prelabel, who changed what, and the models trained on it."""
    from cli.trace import trace_command

    trace_command(annotation, comments=comments, as_json=as_json)


@app.command(rich_help_panel=READINGS)
def effort(
    projects: Annotated[
        list[int] | None, typer.Argument(help="Label Studio projects; default: all with stored corrections.")
    ] = None,
    by: Annotated[
        str, typer.Option(help="Groups, comma-separated: model, arm, order, annotator, week, project.")
    ] = "project,model,arm",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Measure the edit effort: accept rate, Dice of prelabel and correction, added, deleted, time."""
    from cli.trace import effort_command

    effort_command(projects or [], by=[name.strip() for name in by.split(",")], as_json=as_json)


@app.command(rich_help_panel=IMAGES)
def export(
    files: Annotated[
        list[Path] | None,
        typer.Argument(
            help="JSON files of `yolo-mlsam prelabel`, or their folder.", metavar="[JSON]...", readable=False
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for the files.", file_okay=False)] = None,
    to: Annotated[
        str, typer.Option(help="pacs: send the results to the PACS, each into the study of its image.")
    ] = "",
    format_: Annotated[
        str,
        typer.Option(
            "--format",
            help="seg (DICOM Segmentation), sr (measurement report, TID 1500), cad-sr (Mammography CAD SR), coco, yolo "
            "or png.",
        ),
    ] = "seg",
    project: Annotated[
        int | None, typer.Option(help="Export the annotations of this Label Studio project instead.")
    ] = None,
    images: Annotated[
        Path | None, typer.Option(help="Folder of the images; default: that of each JSON file.")
    ] = None,
    comments: Annotated[
        bool,
        typer.Option(
            "--comments",
            help="Export what people wrote about findings too (project; coco and sr). It may name a patient.",
        ),
    ] = False,
) -> None:
    """Export findings as DICOM, COCO, YOLO or PNG, or send them to the PACS.

    Exit code 2: something could not be exported, or waits for the PACS.
    """
    from cli.export import export_command

    raise typer.Exit(
        export_command(
            files or [],
            project=project,
            kind=format_,
            out=out,
            images=images,
            to=to,
            comments=comments,
        )
    )


app.command("import", rich_help_panel=LABEL_STUDIO)(import_mammograms)
app.command("import-dataset", rich_help_panel=LABEL_STUDIO)(import_dataset)


@app.command(rich_help_panel=IMAGES)
def phantom(
    out: Annotated[Path, typer.Option(help="Folder for the files.", file_okay=False)],
    patients: Annotated[
        int, typer.Option(min=1, max=100_000, help="Number of patients, four views each.")
    ] = 1,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the first patient; the next ones follow.")] = 0,
    vendor: Annotated[str, typer.Option(help="Appearance of the images: a, b or c.")] = "a",
    positive: Annotated[
        float, typer.Option(min=0, max=1, help="Probability that a breast has clusters.")
    ] = 0.6,
    density: Annotated[
        str | None, typer.Option(help="BI-RADS density a, b, c or d; default: random for each patient.")
    ] = None,
    for_processing: Annotated[
        bool, typer.Option("--for-processing", help="Also write the raw detector values.")
    ] = False,
    extras: Annotated[
        bool,
        typer.Option(
            "--extras", help="Also draw laterality markers, biopsy clips, linear and segmental clusters."
        ),
    ] = False,
) -> None:
    """Write phantom patients as DICOM files, with their truth as DICOM Segmentation and COCO JSON."""
    from cli.phantom import phantom_command, phantom_options

    options = phantom_options(
        patients=patients,
        seed=seed,
        vendor=vendor,
        positive=positive,
        density=density,
        for_processing=for_processing,
        extras=extras,
    )
    phantom_command(options, out=out)


@app.command("train-starter", rich_help_panel=MODELS)
def train_starter(
    out: Annotated[Path, typer.Option(help="Folder for the two weight files and their manifest.")],
    work: Annotated[Path, typer.Option(help="Folder for phantoms and runs.")] = Path("data/starter"),
    smoke: Annotated[bool, typer.Option(help="Train for a few seconds only, to check the command.")] = False,
    only: Annotated[
        Literal["detector", "segmenter"] | None,
        typer.Option(help="Train only this network, and combine it with the other one in --out."),
    ] = None,
) -> None:
    """Train the starter model on phantoms and on the background sets monai and birads, which `backgrounds add` fetches.

    The same command continues an interrupted training.
    """
    from cli.progress import progress_bar
    from mammo.site import Site
    from training.starter.material import SETS
    from training.starter.recipe import train_starter as train

    site = Site.load()
    backgrounds = [site.backgrounds.get(name) for name in SETS]
    with progress_bar("starter") as progress:
        train(out=out, work=work, backgrounds=backgrounds, smoke=smoke, only=only, progress=progress)
    typer.echo(f"starter in {out}: {only or 'both networks'} trained")


def main(arguments: list[str] | None = None) -> Any:
    """Entry point. A MammoError becomes one line on stderr and exit code 1, without a traceback."""
    if isinstance(sys.stdout, TextIOWrapper):  # an id of Label Studio may hold what no terminal can show
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        return app(arguments)
    except MammoError as error:
        typer.echo(f"yolo-mlsam: {error}", err=True)
        raise SystemExit(1) from None


if __name__ == "__main__":
    main()
