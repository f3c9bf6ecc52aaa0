"""`python -m benchmarks.starter_evidence`: measure detectors, and write their figures into docs/evidence.md."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Annotated

import typer

from benchmarks.starter_evidence.images import Images, Sources
from benchmarks.starter_evidence.page import MeasuredImages, write_page
from cli.detector_evaluation import PAPER_THRESHOLD
from cli.progress import progress_bar
from mammo.blobs import hash_file
from mammo.detector import load_network
from mammo.errors import MammoError
from mammo.models.registry import STARTER
from training.cases import Progress
from training.evaluation import dog_baseline
from training.evaluation.detector import Detect, low_threshold_detector, score_images
from training.evaluation.image_figures import measure_images
from training.evaluation.image_report import MeasuredDetector

SIZES_MM = (4.0, 8.0)
"""Limits of the ranges of lesion size."""

DRAWS, SEED = 1000, 0
"""Of the bootstrap."""

SHIPPED = STARTER / "detector.safetensors"


def main(
    real: Annotated[
        Path, typer.Option(help="Folder with film_normals, monai and nyu.", exists=True, file_okay=False)
    ],
    out: Annotated[Path, typer.Option(help="Page to write; the JSON goes beside it.", dir_okay=False)] = Path(
        "docs/evidence.md"
    ),
    weights: Annotated[
        list[str] | None, typer.Option(help="Detectors, as NAME=FILE; none: the shipped starter.")
    ] = None,
    work: Annotated[
        Path | None, typer.Option(help="Folder for what is drawn, to be used again.", file_okay=False)
    ] = None,
    limit: Annotated[
        int, typer.Option(min=1, help="Maximum number of films, copies and phantoms, for a try.")
    ] = 64,
) -> None:
    """Measure the baseline and detectors on film, full-field images and phantoms."""
    named = [entry.partition("=") for entry in weights or [f"starter={SHIPPED}"]]
    if bad := [name for name, _, file in named if not Path(file).is_file()]:
        raise typer.BadParameter(f"expected NAME=FILE with a file that exists, got {bad[0]}")
    files = {name: Path(file) for name, _, file in named}
    try:
        with tempfile.TemporaryDirectory() as temporary, progress_bar("evidence") as progress:
            sources = Sources(real=real, work=work or Path(temporary), limit=limit, progress=progress)
            sets = [sources.film(), sources.full_field(), sources.seen_by_eye(), sources.phantoms()]
            paths = write_page(out, _measure(sets, files, progress), facts=_facts(files))
    except MammoError as error:
        typer.echo(str(error), err=True)
        sys.exit(1)
    for path in paths:
        typer.echo(str(path))


def _measure(sets: Sequence[Images], files: dict[str, Path], progress: Progress) -> list[MeasuredImages]:
    detectors: list[tuple[str, Detect, float]] = [
        (name, low_threshold_detector(file), _threshold(file)) for name, file in files.items()
    ]
    detectors.append((dog_baseline.NAME, dog_baseline.DogBaseline(), dog_baseline.OPERATING_POINT))
    measured = []
    for images in sets:
        scored = [
            score_images(detect, images.evaluated.cases, progress=progress) for _, detect, _ in detectors
        ]
        measured.append(
            MeasuredImages(
                images,
                [
                    MeasuredDetector(
                        name=name,
                        sha256=hash_file(files[name]) if name in files else "",
                        scored=found,
                        figures=measure_images(
                            found,
                            images.evaluated,
                            threshold=threshold,
                            draws=DRAWS,
                            seed=SEED,
                            sizes_mm=SIZES_MM,
                        ),
                    )
                    for (name, _, threshold), found in zip(detectors, scored, strict=True)
                ],
            )
        )
    return measured


def _threshold(file: Path) -> float:
    """The operating point that the weights record."""
    facts = load_network(file)[1]
    return float(facts.get("operating_point", {}).get("threshold", PAPER_THRESHOLD))


def _facts(files: dict[str, Path]) -> dict[str, str]:
    return {
        "measured": date.today().isoformat(),
        **{f"weights of {name}": f"SHA-256 {hash_file(file)}" for name, file in files.items()},
        "intervals": f"95 %, {DRAWS} draws of patients, seed {SEED}",
    }


if __name__ == "__main__":
    typer.run(main)
