"""Two views of one breast: how well their findings are paired, and what the other view says of a score.

    python -m benchmarks.two_views --patients 120

Each patient has an appearance of its own, and breasts with up to two clusters of 2 mm and more, in CC and in MLO.
The detector runs at its lowest threshold. What is fitted is fitted on the first half of the patients, and reported on
the second. A stopped run goes on where it was.

The phantoms place a cluster by its distance behind the nipple, with a shift to where it fits: how far these distances
differ in women is not measured here.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Annotated, Any

import numpy as np
import typer

from benchmarks.logistic import Vector, auc, log_odds, logistic, logit
from benchmarks.result import Result
from mammo.atomic_files import replacing
from mammo.detector import find_breast
from mammo.dicom.mammogram import Laterality
from mammo.geometry import Box, Spacing
from mammo.landmarks import Landmarks
from mammo.models.starter_files import starter_files
from mammo.phantom.anatomy import View as Projection
from mammo.phantom.body import sample_body
from mammo.phantom.calcifications import DISTRIBUTIONS, sample_cluster
from mammo.phantom.extras import Extras
from mammo.phantom.randomised import sample_appearance, shrunk
from mammo.phantom.view import phantom_view
from mammo.pixels import Pixels
from mammo.segmenter.segmenter import Segmenter
from training.evaluation.detector import low_threshold_detector

PATIENTS = 120
FIRST_SEED = 90_000
LATERALITIES: tuple[Laterality, ...] = ("L", "R")
PROJECTIONS: tuple[Projection, ...] = ("CC", "MLO")
WIDTH, HEIGHT = 1792, 2304
"""Receptor, in pixels of 0.07 mm."""

WORK = Path("data/two-views")
RATES = (0.1, 0.25, 0.5, 1.0)
"""False positives per image."""

DRAWS = 1000
"""Of the bootstrap over patients."""

MIN_SCORE = 0.05
"""Least score of the findings that are paired."""

SIGMA_MM, SIGMA_LOG_SIZE = 5.0, 0.7
"""How fast the support of a detection in the other view falls with the difference of distance and of size."""


@dataclass(frozen=True)
class View:
    """What is kept of one view."""

    breast: tuple[int, str]
    """Patient and laterality."""

    truth: list[Box]
    found: list[tuple[float, Box]]
    """Score and box of each detection."""

    embeddings: list[Vector]
    """Of each detection from `MIN_SCORE` on, in the order of `found`: mean and largest of the starter segmenter's
    features in the box."""

    landmarks: Landmarks

    def embedded(self) -> list[tuple[tuple[float, Box], Vector]]:
        """Return the detections from `MIN_SCORE` on, each with its embedding."""
        found = [each for each in self.found if each[0] >= MIN_SCORE]
        return list(zip(found, self.embeddings, strict=True))

    def hit(self, box: Box) -> int:
        """Return the cluster in whose box the centre of a detection lies; -1 for none."""
        x, y = box.centre
        inside = (n for n, each in enumerate(self.truth) if each.x0 <= x < each.x1 and each.y0 <= y < each.y1)
        return next(inside, -1)


WITHOUT, WITH = "strip, size, lesser score", "strip, size, lesser score, similarity"
"""What a pair is judged by in the product, and what else was tried."""

Patient = list[tuple[View, View]]
"""CC and MLO of both breasts."""


def run(*, patients: int = PATIENTS, work: Path = WORK) -> Iterator[Result]:
    """Measure the tolerance, the pairs, and the effect of the other view on the FROC curve."""
    networks = None
    exams = []
    for seed in range(FIRST_SEED, FIRST_SEED + patients):
        path = work / f"{seed}-embedded.json"
        if not path.is_file():
            networks = networks or (
                low_threshold_detector(starter_files().detector),
                Segmenter.load(starter_files().segmenter),
            )
            path.parent.mkdir(parents=True, exist_ok=True)
            with replacing(path) as part:
                part.write_text(json.dumps(_examined(seed, *networks)))
        exams.append(_read(json.loads(path.read_bytes())))
    half = patients // 2
    yield _pairing(exams[:half], exams[half:])
    yield _feedback(exams[:half], exams[half:])


def _examined(seed: int, detect: Callable[[Any], Any], segmenter: Segmenter) -> list[dict[str, Any]]:
    """Draw the views of a patient, run the detector on them, and embed what it found."""
    rng = np.random.default_rng([seed, 77])
    appearance = replace(sample_appearance(rng), width=WIDTH, height=HEIGHT)
    body = sample_body(rng)
    views = []
    for laterality in LATERALITIES:
        number = int(rng.integers(1, 3)) if rng.random() < 0.5 else 0
        clusters = [
            shrunk(sample_cluster(rng, distribution=DISTRIBUTIONS[int(rng.integers(3))]), rng)
            for _ in range(number)
        ]
        extras = Extras(distributions=True, ligaments=float(rng.choice([0.0, rng.uniform(0.05, 0.5)])))
        for projection in PROJECTIONS:
            view = phantom_view(
                seed,
                laterality=laterality,
                view=projection,
                clusters=clusters,
                body=body,
                appearance=appearance,
                extras=extras,
                num_distractors=8,
            )
            pixels = view.stored.astype(np.float32) / np.float32(2**view.bits - 1)
            spacing = Spacing(view.spacing_mm, view.spacing_mm, "imager")
            landmarks = Landmarks.of(find_breast(pixels).cells, size=view.size, spacing=spacing)
            found = detect(SimpleNamespace(pixels=pixels, spacing=spacing))
            views.append(
                {
                    "breast": [seed, laterality],
                    "truth": [each.box.as_tuple() for each in view.truth],
                    "found": [[float(each.score), each.box.as_tuple()] for each in found],
                    "embeddings": [
                        _embedding(segmenter, pixels, each.box, spacing)
                        for each in found
                        if each.score >= MIN_SCORE
                    ],
                    "nipple": [float(each) for each in landmarks.nipple],
                    "wall": landmarks.wall,
                    "spacing_mm": view.spacing_mm,
                }
            )
    return views


def _embedding(segmenter: Segmenter, pixels: Pixels, box: Box, spacing: Spacing) -> list[float]:
    """Return mean and largest of each feature in the middle half of the region, which is the box, rounded."""
    neck = segmenter.embed(pixels, box, spacing=spacing).features.neck.astype(np.float64)
    neck = neck.reshape(neck.shape[-3:])
    rows, columns = (side // 4 for side in neck.shape[1:])
    inner = neck[:, rows : neck.shape[1] - rows, columns : neck.shape[2] - columns]
    return [round(float(each), 4) for each in (*inner.mean(axis=(1, 2)), *inner.max(axis=(1, 2)))]


def _read(rows: Sequence[dict[str, Any]]) -> Patient:
    views = [
        View(
            breast=tuple(row["breast"]),
            truth=[Box(*box) for box in row["truth"]],
            found=[(score, Box(*box)) for score, box in row["found"]],
            embeddings=[np.array(each) for each in row["embeddings"]],
            landmarks=Landmarks(
                nipple=tuple(row["nipple"]),
                wall=row["wall"],
                spacing=Spacing(row["spacing_mm"], row["spacing_mm"], "imager"),
            ),
        )
        for row in rows
    ]
    return list(zip(views[::2], views[1::2], strict=True))


def _pairing(fitted: list[Patient], held_out: list[Patient]) -> Result:
    embeddings = np.array(
        [each for exam in fitted for pair in exam for view in pair for each in view.embeddings]
    )
    scale = embeddings.mean(axis=0), embeddings.std(axis=0) + 1e-9
    training, test = _pairs(fitted, scale), _pairs(held_out, scale)
    true = np.concatenate([training, test])
    true = true[true[:, -1] == 1]
    forms = {
        "distance along the chest-wall axis (strip)": [0],
        "straight distance from the nipple (arc)": [1],
        "size": [2],
        "lesser score": [3],
        "similarity of embeddings": [4],
        WITHOUT: [0, 2, 3],
        "arc, size, lesser score": [1, 2, 3],
        WITH: [0, 2, 3, 4],
    }
    rows, scores = [], {}
    for name, columns in forms.items():
        weights = logistic(training[:, columns], training[:, -1])
        score = scores[name] = log_odds(weights, test[:, columns])
        spread = np.percentile(true[:, columns[0]], [50, 95]) if columns[0] < 2 else None
        rows.append(
            (
                name,
                "" if spread is None else f"{spread[0]:.1f} / {spread[1]:.1f} mm",
                f"{auc(score, test[:, -1]):.3f}",
                ", ".join(f"{each:.3f}" for each in weights),
            )
        )
    return Result(
        title="Two views: which findings are the same lesion",
        method=(
            f"Phantoms of {len(fitted) + len(held_out)} patients (seeds from {FIRST_SEED}), starter detector, findings "
            f"from a score of {MIN_SCORE} on; logistic regression on the first half, area under the ROC curve on the "
            f"pairs of the second ({int(test[:, -1].sum())} of {len(test)} pairs are one lesion). Distance: median and "
            f"95th percentile of the difference of the {len(true)} true pairs. Similarity: cosine of the standardised "
            "features of the starter segmenter's encoder in both boxes; with it, the area is larger by "
            f"{_gain(scores[WITH], scores[WITHOUT], test)} (paired bootstrap by patient, 95 %)."
        ),
        columns=("by", "true pairs differ by", "AUC", "bias and coefficients"),
        rows=rows,
    )


def _gain(one: Vector, other: Vector, pairs: Vector) -> str:
    """Return by how much the area under the ROC curve of one score is larger than that of another."""
    rng, numbers = np.random.default_rng(0), np.unique(pairs[:, -2])
    by_patient = [np.flatnonzero(pairs[:, -2] == number) for number in numbers]
    drawn = [
        np.concatenate([by_patient[each] for each in rng.integers(0, len(numbers), len(numbers))])
        for _ in range(DRAWS)
    ]
    gains = [auc(one[rows], pairs[rows, -1]) - auc(other[rows], pairs[rows, -1]) for rows in drawn]
    low, high = np.percentile(gains, [2.5, 97.5])
    return f"{auc(one, pairs[:, -1]) - auc(other, pairs[:, -1]):+.3f} [{low:+.3f}, {high:+.3f}]"


def _pairs(exams: Sequence[Patient], scale: tuple[Vector, Vector]) -> Vector:
    """Return for each pair of detections: strip, arc, log size, lesser logit, similarity, patient, whether one lesion.

    Args:
        scale: mean and standard deviation of each feature of an embedding.
    """
    rows = [
        (
            *_differences(one, other, cc, mlo),
            logit(min(one[0], other[0])),
            _cosine((first - scale[0]) / scale[1], (second - scale[0]) / scale[1]),
            number,
            cc.hit(one[1]) == mlo.hit(other[1]) >= 0,
        )
        for number, exam in enumerate(exams)
        for cc, mlo in exam
        if len(cc.truth) == len(mlo.truth)  # otherwise one did not fit, and nothing tells which
        for one, first in cc.embedded()
        for other, second in mlo.embedded()
    ]
    return np.array(rows, np.float64)


def _cosine(one: Vector, other: Vector) -> float:
    return float(one @ other / (np.linalg.norm(one) * np.linalg.norm(other)))


def _differences(
    one: tuple[float, Box], other: tuple[float, Box], first: View, second: View
) -> tuple[float, float, float]:
    (x, y), (u, v) = one[1].centre, other[1].centre
    strip = abs(first.landmarks.strip_mm(x, y) - second.landmarks.strip_mm(u, v))
    arc = abs(first.landmarks.arc_mm(x, y) - second.landmarks.arc_mm(u, v))
    return strip, arc, abs(np.log(one[1].area / other[1].area)) / 2


def _feedback(fitted: list[Patient], held_out: list[Patient]) -> Result:
    """FROC with the detector's scores, and with scores that a detection in the other view supports."""
    training, test = _detections(fitted), _detections(held_out)
    weights = logistic(training[:, 3:5], (training[:, 5] >= 0).astype(np.float64))
    scores = {"alone": test[:, 3], "supported": log_odds(weights, test[:, 3:5])}
    rng = np.random.default_rng(0)
    by_patient = [np.flatnonzero(test[:, 0] == number) for number in range(len(held_out))]
    drawn = []
    for _ in range(DRAWS):
        patients = rng.integers(0, len(held_out), len(held_out))
        chosen = np.concatenate([by_patient[each] for each in patients])
        copies = np.concatenate([np.full(len(by_patient[each]), n) for n, each in enumerate(patients)])
        exams = [held_out[each] for each in patients]
        rows = np.column_stack([copies, test[chosen, 1:]])
        drawn.append([_found(rows, each[chosen], exams) for each in scores.values()])
    gains = np.array(drawn)[:, 1] - np.array(drawn)[:, 0]
    low, high = np.percentile(gains, [2.5, 97.5], axis=0)
    alone, supported = (_found(test, each, held_out) for each in scores.values())
    units = ("image", "breast", "exam")
    return Result(
        title="Two views: what the other view says of a score",
        method=(
            "The same detections. A score is combined with its best support in the other view (score, distance, size) "
            "by logistic regression on the first half; sensitivity on the second, per image, per breast (found in "
            "either view) and per exam (any lesion found), paired bootstrap by patient, 95 %."
        ),
        columns=("false positives per image", "unit", "alone", "supported", "difference"),
        rows=[
            (
                f"{rate:g}",
                unit,
                f"{alone[r, u]:.3f}",
                f"{supported[r, u]:.3f}",
                f"{supported[r, u] - alone[r, u]:+.3f} [{low[r, u]:+.3f}, {high[r, u]:+.3f}]",
            )
            for r, rate in enumerate(RATES)
            for u, unit in enumerate(units)
        ],
    )


def _detections(exams: Sequence[Patient]) -> Vector:
    """Return for each detection: patient, breast, view, logit of its score, of its support, and its cluster or -1."""
    rows = []
    for number, exam in enumerate(exams):
        for breast, views in enumerate(exam):
            for view, (here, there) in enumerate((views, views[::-1])):
                for each in here.found:
                    support = max((_support(each, other, here, there) for other in there.found), default=0.0)
                    rows.append((number, breast, view, logit(each[0]), logit(support), here.hit(each[1])))
    return np.array(rows, np.float64)


def _support(one: tuple[float, Box], other: tuple[float, Box], here: View, there: View) -> float:
    strip, _, size = _differences(one, other, here, there)
    return float(other[0] * np.exp(-0.5 * ((strip / SIGMA_MM) ** 2 + (size / SIGMA_LOG_SIZE) ** 2)))


def _found(rows: Vector, scores: Vector, exams: Sequence[Patient]) -> Vector:
    """Return the sensitivity at each rate, per image, breast and exam."""
    false = np.sort(scores[rows[:, 5] < 0])[::-1]
    best: dict[tuple[float, ...], float] = {}
    for row, score in zip(rows, scores, strict=True):
        if row[5] >= 0:
            patient, breast, view, cluster = row[[0, 1, 2, 5]]
            for key in ((patient, breast, view, cluster), (patient, breast, cluster), (patient,)):
                best[key] = max(best.get(key, -np.inf), score)
    pairs = [pair for exam in exams for pair in exam]
    totals = {
        4: sum(len(view.truth) for pair in pairs for view in pair),
        3: sum(max(len(view.truth) for view in pair) for pair in pairs),
        1: sum(any(view.truth for pair in exam for view in pair) for exam in exams),
    }
    found = np.empty((len(RATES), len(totals)))
    for r, rate in enumerate(RATES):
        rank = int(rate * 4 * len(exams))
        threshold = false[rank] if rank < len(false) else -np.inf
        for u, (length, total) in enumerate(totals.items()):
            hits = sum(len(key) == length and score > threshold for key, score in best.items())
            found[r, u] = hits / max(total, 1)
    return found


def main(
    patients: Annotated[
        int, typer.Option(min=4, help="Patients, those of earlier runs included.")
    ] = PATIENTS,
    work: Annotated[
        Path, typer.Option(help="Folder of what earlier runs have found.", file_okay=False)
    ] = WORK,
) -> None:
    """Pair the findings of two views, and measure what the other view says of a score."""
    for result in run(patients=patients, work=work):
        typer.echo(result.markdown() + "\n")


if __name__ == "__main__":
    typer.run(main)
