"""Second look: whether doubts find planted errors.

    python -m benchmarks.second_look --patients 15 [--backgrounds FOLDER --spacing-mm 0.2]

The starter predicts images that it did not learn from: phantoms of other seeds, and a folder of real normal mammograms
into which clusters are inserted. Errors of three kinds are planted into their true findings: a lesion is left out, a
finding is invented where none is, an outline is moved by 3 to 6 mm. Each image is ranked by its strongest doubt, by
chance, and by cleanlab's label quality of object detection (boxes only). The predictions are made once and the errors
planted many times, so the interval is of the planting, not of the images. A stopped run goes on where it was.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from benchmarks.result import Result
from mammo.atomic_files import replacing
from mammo.backgrounds import Background
from mammo.findings import CLUSTER, Finding
from mammo.geometry import Box, Size, Spacing
from mammo.masks import Mask
from mammo.models.starter_files import starter_files
from mammo.phantom import vendor_b
from mammo.pipeline import Prelabeller
from training.cases import Case
from training.insertion.material import MaterialPlan, write_material
from training.metrics.bootstrap import Floats
from training.out_of_fold import finding_of, finding_to_json
from training.phantom_cases import PHANTOM_SECRET, write_phantom_patients
from training.second_look import Cause, ModelAgreement, doubts

PATIENTS, FIRST_SEED = 15, 730_000
WORK = Path("data/second-look")
SHARE = 0.05
"""Of the images: with an error of each kind, and looked at first."""

DRAWS = 200
"""Times that errors are planted."""

KINDS: tuple[Cause, ...] = ("missed", "nothing-there", "outline")

Image = tuple[tuple[Finding, ...], tuple[Finding, ...], Spacing, Size]
"""True findings, predicted ones, spacing, size."""

Planted = tuple[list[Finding], Cause | None]


def phantoms(patients: int, folder: Path, *, first_seed: int) -> list[Case]:
    """Draw the four views of each phantom patient."""
    return write_phantom_patients(
        folder,
        seeds=range(first_seed, first_seed + patients),
        appearance=vendor_b(),
        positive=0.85,
        patient_secret=PHANTOM_SECRET,
        progress=lambda *_: None,
    )


def inserted(backgrounds: Path, folder: Path, *, spacing_mm: float, seed: int) -> list[Case]:
    """Insert clusters into each image of a folder, in a film look; its images are normal."""
    normals = [
        Background(
            path=path,
            spacing=Spacing(spacing_mm, spacing_mm, "given"),
            patient=path.stem,
            sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        )
        for path in sorted(backgrounds.glob("*.png"))
    ]
    plan = MaterialPlan(phantoms=0, film_phantoms=0, digital_copies=0, film_copies=1, seed=seed)
    return write_material(folder, plan, normals, processes=1, progress=lambda *_: None)


def predicted(cases: Sequence[Case], folder: Path) -> list[Image]:
    """Predict each case, unless an earlier run has."""
    folder.mkdir(parents=True, exist_ok=True)
    model = Prelabeller.load(starter_files(), threads=1, runtime="torch")
    images: list[Image] = []
    began = time.monotonic()
    for number, case in enumerate(cases, start=1):
        mammogram, path = case.read(), folder / f"{case.image}.json"
        assert mammogram.spacing is not None
        if not path.is_file():
            found = model.prelabel(mammogram, threshold=None).findings
            entries = [finding_to_json(each, mammogram.size) for each in found]
            with replacing(path) as part:
                part.write_text(json.dumps(entries))
            print(f"{number} of {len(cases)}, {time.monotonic() - began:.0f} s", flush=True)
        findings = tuple(finding_of(each) for each in json.loads(path.read_bytes()))
        images.append((tuple(case.truth), findings, mammogram.spacing, mammogram.size))
    return images


def plant(shown: Sequence[Image], rng: np.random.Generator) -> list[Planted]:
    """Plant an error of each kind into a share of the images; an image has at most one."""
    labels: list[Planted] = [(list(truth), None) for truth, *_ in shown]
    count = max(round(SHARE * len(shown)), 1)
    for kind in KINDS:
        free = [
            index
            for index, (findings, planted) in enumerate(labels)
            if planted is None and (findings or kind == "nothing-there")
        ]
        for index in rng.choice(free, size=count, replace=False):
            labels[index] = (_wrong(kind, shown[index], rng), kind)
    return labels


def _wrong(kind: Cause, image: Image, rng: np.random.Generator) -> list[Finding]:
    truth, _, spacing, size = image
    findings = list(truth)
    if kind == "missed":
        del findings[rng.integers(len(findings))]
    elif kind == "outline":
        index = int(rng.integers(len(findings)))
        findings[index] = _moved(findings[index], rng, spacing)
    else:
        while True:  # where neither a lesion nor another label is
            width, height = (int(each) for each in rng.integers(80, 200, size=2))
            x, y = (
                int(rng.integers(size.width // 3)),
                int(rng.integers(size.height // 4, size.height * 3 // 4)),
            )
            box = Box(x, y, x + width, y + height)
            if all(box.iou(each.box) == 0 for each in truth):
                findings.append(Finding(label=CLUSTER, score=1.0, box=box, mask=_ellipse(box)))
                break
    return findings


def _moved(finding: Finding, rng: np.random.Generator, spacing: Spacing) -> Finding:
    angle, distance = rng.uniform(0, 2 * np.pi), rng.uniform(3, 6)
    dx, dy = (round(distance * part / spacing.mean_mm) for part in (np.cos(angle), np.sin(angle)))
    box = finding.box
    moved = Box(box.x0 + dx, box.y0 + dy, box.x1 + dx, box.y1 + dy)
    mask = finding.mask and Mask(finding.mask.bitmap, finding.mask.x0 + dx, finding.mask.y0 + dy)
    return replace(finding, box=moved, mask=mask)


def _ellipse(box: Box) -> Mask:
    rows, columns = np.mgrid[0 : box.height, 0 : box.width]
    inside = ((rows + 0.5) / box.height - 0.5) ** 2 + ((columns + 0.5) / box.width - 0.5) ** 2 <= 0.25
    return Mask(inside, box.x0, box.y0)


def by_doubts(shown: Sequence[Image], labels: Sequence[Planted]) -> Floats:
    """Return the strongest doubt of each image."""
    images = [
        (label, found, spacing) for (_, found, spacing, _), (label, _) in zip(shown, labels, strict=True)
    ]
    agreement = ModelAgreement.of(images)
    return np.array(
        [
            max(
                (each.score for each in doubts(label, found, spacing=spacing, agreement=agreement)),
                default=0.0,
            )
            for label, found, spacing in images
        ]
    )


def by_cleanlab(shown: Sequence[Image], labels: Sequence[Planted]) -> Floats:
    """Return one minus cleanlab's label quality of each image."""
    from cleanlab.object_detection.rank import get_label_quality_scores

    predictions = []
    for _, found, *_ in shown:
        boxes = np.empty((1,), dtype=object)
        boxes[0] = np.array([[*_corners(each.box), each.score] for each in found]).reshape(-1, 5)
        predictions.append(boxes)
    truth = [
        {
            "bboxes": np.array([_corners(each.box) for each in label], dtype=float).reshape(-1, 4),
            "labels": np.zeros(len(label), dtype=int),
        }
        for label, _ in labels
    ]
    return 1 - np.asarray(get_label_quality_scores(truth, predictions, verbose=False))


def _corners(box: Box) -> tuple[int, int, int, int]:
    return box.x0, box.y0, box.x1, box.y1


def precision(scores: Floats, labels: Sequence[Planted], rng: np.random.Generator) -> float:
    """Return the share of planted errors among the images looked at first; ties in random order."""
    looked_at = max(round(SHARE * len(labels)), 1)
    order = np.lexsort((rng.random(len(scores)), -scores))[:looked_at]
    return float(np.mean([labels[index][1] is not None for index in order]))


def measure(
    shown: Sequence[Image], rank: Callable[[Sequence[Image], Sequence[Planted]], Any], *, draws: int
) -> tuple[float, float, float, dict[str, float]]:
    """Return mean, 5th and 95th percentile of the precision, and the share of each kind among the first 15 %."""
    values, found = [], {kind: [0, 0] for kind in KINDS}
    for draw in range(draws):
        rng = np.random.default_rng(draw)
        labels = plant(shown, rng)
        scores = rank(shown, labels)
        values.append(precision(scores, labels, rng))
        order = np.lexsort((rng.random(len(scores)), -scores))[: round(len(KINDS) * SHARE * len(labels))]
        first = {int(index) for index in order}
        for index, (_, kind) in enumerate(labels):
            if kind is not None:
                found[kind][0] += index in first
                found[kind][1] += 1
    low, high = np.percentile(values, (5, 95))
    return (
        float(np.mean(values)),
        float(low),
        float(high),
        {kind: hit / of for kind, (hit, of) in found.items()},
    )


def table(title: str, shown: Sequence[Image], *, draws: int) -> Result:
    """Plant errors into the images, and rank them."""
    ranks: dict[str, Callable[[Sequence[Image], Sequence[Planted]], Any]] = {
        "at random": lambda images, _: np.zeros(len(images)),
        "doubts": by_doubts,
        "cleanlab": by_cleanlab,
    }
    rows = []
    for name, rank in ranks.items():
        mean, low, high, found = measure(shown, rank, draws=draws)
        rows.append(
            (name, f"{mean:.2f} ({low:.2f} to {high:.2f})", *(f"{found[kind]:.2f}" for kind in KINDS))
        )
    return Result(
        title=f"Second look: planted errors found, {title}",
        method=f"{len(shown)} images, 5 % with an error of each kind, {draws} plantings; precision among the "
        "first 5 %, and share of each kind among the first 15 %.",
        columns=("ranked by", "precision (5th to 95th percentile)", *KINDS),
        rows=rows,
    )


def main(
    patients: Annotated[int, typer.Option(min=5)] = PATIENTS,
    backgrounds: Annotated[Path | None, typer.Option(help="Folder of normal mammograms, PNG.")] = None,
    spacing_mm: Annotated[float, typer.Option(help="Their pixel spacing.", min=0.01)] = 0.2,
    work: Annotated[Path, typer.Option()] = WORK,
    first_seed: Annotated[int, typer.Option(help="Of phantoms and inserted clusters.")] = FIRST_SEED,
    draws: Annotated[int, typer.Option(min=10)] = DRAWS,
) -> None:
    """Print a table for the phantoms, and one for the backgrounds."""
    material = {"phantoms": phantoms(patients, work / "phantoms", first_seed=first_seed)}
    if backgrounds is not None:
        material["real backgrounds"] = inserted(
            backgrounds, work / "inserted", spacing_mm=spacing_mm, seed=first_seed
        )
    for title, cases in material.items():
        print(table(title, predicted(cases, work / "predictions"), draws=draws).markdown(), flush=True)


if __name__ == "__main__":
    typer.run(main)
