"""`yolo-mlsam evaluate`: measure networks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

evaluate = typer.Typer(
    help="Measure networks on a dataset version, on phantoms or on images of your own.", no_args_is_help=True
)

Dataset = Annotated[
    str | None, typer.Option(help="Dataset version (SHA-256), whose test fold to measure on.")
]
Phantoms = Annotated[
    str | None, typer.Option(help="Seeds of phantom patients to measure on instead, as FIRST-LAST.")
]
Vendor = Annotated[str, typer.Option(help="Appearance of the phantoms: a, b or c.")]
Model = Annotated[str, typer.Option(help="Model version: champion, starter or a version of the registry.")]
Work = Annotated[Path, typer.Option(help="Folder for phantoms and ROIs.", file_okay=False)]


@evaluate.callback()
def _group() -> None:
    """Measure networks on a dataset version, on phantoms or on images of your own."""


@evaluate.command("detector")
def evaluate_detector(
    out: Annotated[Path, typer.Option(help="Folder for the Markdown, JSON and PNG files.", file_okay=False)],
    dataset: Dataset = None,
    phantoms: Phantoms = None,
    vendor: Vendor = "a",
    model: Model = "champion",
    weights: Annotated[
        Path | None, typer.Option(help="A detector.safetensors instead of a model version.", exists=True)
    ] = None,
    threshold: Annotated[
        float | None, typer.Option(min=0.01, max=0.99, help="Operating point; default: the model version's.")
    ] = None,
    work: Work = Path("data/phantoms"),
) -> None:
    """Measure the detector: FROC, AP and operating point, with 95 % intervals by patient."""
    from cli.case_source import CaseSource
    from cli.detector_evaluation import DetectorChoice
    from cli.detector_evaluation import evaluate_detector as run

    source = CaseSource(dataset=dataset, phantoms=phantoms, vendor=vendor, work=work)
    choice = DetectorChoice(model=model, weights=weights)
    _print(run(source, choice, threshold=threshold, out=out))


@evaluate.command("images")
def evaluate_images(
    out: Annotated[Path, typer.Option(help="Folder for the Markdown, JSON and PNG files.", file_okay=False)],
    normals: Annotated[
        Path | None,
        typer.Option(
            help="Folder of mammograms without calcifications: DICOM, PNG, JPEG, TIFF or PGM.",
            exists=True,
            file_okay=False,
        ),
    ] = None,
    positives: Annotated[
        Path | None,
        typer.Option(
            help="Mammograms with marked groups of calcifications: a COCO JSON or the Info.txt of mini-MIAS, with the "
            "images beside it; or their folder (annotations.json or Info.txt).",
            exists=True,
        ),
    ] = None,
    spacing: Annotated[
        float | None,
        typer.Option(help="Pixel spacing in mm, for images that do not state it.", min=0.01, max=1.0),
    ] = None,
    model: Annotated[
        list[str] | None,
        typer.Option(
            help="Model version: champion, starter or a version of the registry; may be repeated. Default: champion, "
            "unless --weights is given."
        ),
    ] = None,
    weights: Annotated[
        list[Path] | None, typer.Option(help="A detector.safetensors; may be repeated.", exists=True)
    ] = None,
    patients: Annotated[
        str,
        typer.Option(
            help="Patients of files without a PatientID: file (every file is one), mias (mdb001 and mdb002 are one) or "
            "a CSV file with the columns file and patient."
        ),
    ] = "file",
    label: Annotated[
        str | None, typer.Option(help="COCO: category that means a cluster, if its name does not tell.")
    ] = None,
    baseline: Annotated[
        bool, typer.Option(help="Also measure the untrained baseline, a difference of Gaussians.")
    ] = True,
) -> None:
    """Measure models on your own mammograms, beside an untrained baseline.

    Normals tell how often a healthy woman's image is marked, positives how many lesions are found; either may be left
    out. The images stay where they are; nothing is sent anywhere. In the folder OUT, images.md is for people,
    images.json for programs, and the PNG files show the FROC curves and, per model, hits, misses and the worst false
    positives. Open them to see what the figures mean; they show parts of your images and the names of their files.
    Exit code 2: some images were left out; each is named with the reason.
    """
    from cli.image_evaluation import LEFT_OUT, ImageEvaluation
    from cli.image_evaluation import evaluate_images as run

    written = run(
        ImageEvaluation(
            normals=normals,
            positives=positives,
            spacing=spacing,
            patients=patients,
            label=label,
            models=model or (),
            weights=weights or (),
            baseline=baseline,
            out=out,
        )
    )
    for line in written.warnings():
        typer.echo(line, err=True)
    _print(written.paths)
    raise typer.Exit(LEFT_OUT if written.left_out else 0)


@evaluate.command("segmenter")
def evaluate_segmenter(
    out: Annotated[Path, typer.Option(help="Folder for the Markdown and JSON files.", file_okay=False)],
    dataset: Dataset = None,
    phantoms: Phantoms = None,
    vendor: Vendor = "a",
    model: Model = "champion",
    weights: Annotated[
        Path | None, typer.Option(help="A segmenter.safetensors instead of a model version.", exists=True)
    ] = None,
    work: Work = Path("data/phantoms"),
) -> None:
    """Measure the segmenter on given boxes."""
    from cli.case_source import CaseSource
    from cli.segmenter_evaluation import evaluate_weights
    from mammo.site import Site

    source = CaseSource(dataset=dataset, phantoms=phantoms, vendor=vendor, work=work)
    _print(evaluate_weights(source, weights or Site.load().model_files(model).segmenter, out=out))


def _print(paths: Sequence[Path]) -> None:
    for path in paths:
        typer.echo(str(path))
