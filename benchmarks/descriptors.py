"""Can a small head propose morphology and distribution? Measured on phantom patients that it was not fitted on.

    python -m benchmarks.descriptors --train 200 --test 100 --work FOLDER

Draws phantom patients with three clusters each in CC and MLO (grouped, linear and segmental ones alike; vendor_a, _b
and _c), lets the starter find and outline them, and describes every finding that lies on a cluster by 35 numbers: the
shape of its mask, its cloud of specks and their shapes, the spacing and the score. A softmax regression with an L2
penalty is fitted on these, its penalty and temperature chosen by five folds of patients of the training part. Reported
on the test patients: confusion matrix, recall and precision of each word with intervals over patients, accuracy where
the head is sure, expected calibration error. The words are those of the phantoms: none is coarse or typically benign.
"""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize
from scipy.special import log_softmax, softmax

from mammo.dicom import Mammogram
from mammo.findings import Finding
from mammo.geometry import Point, Spacing
from mammo.masks import Mask
from mammo.models.starter_files import starter_files
from mammo.phantom import phantom_view, vendor_a, vendor_b, vendor_c
from mammo.phantom.calcifications import DISTRIBUTIONS, sample_cluster
from mammo.pipeline import Prelabeller
from mammo.readings.matching import match
from training.metrics.bootstrap import interval

Floats = npt.NDArray[np.float64]
TRAIN_SEED, TEST_SEED = 50_000, 60_000
PENALTIES = (1e-3, 3e-3, 1e-2, 3e-2, 1e-1, 3e-1)
FOLDS, BINS, SURE = 5, 10, 0.8
MAX_PARTICLES = 24


def findings_of(prelabeller: Prelabeller, seed: int) -> Iterator[tuple[Floats, str, str]]:
    """Yield features, morphology and distribution of the findings that lie on a cluster of one patient."""
    look = (vendor_a, vendor_b, vendor_c)[seed % 3]()
    rng = np.random.default_rng([seed, 997])
    clusters = [sample_cluster(rng, distribution=DISTRIBUTIONS[int(rng.integers(3))]) for _ in range(3)]
    for view in ("CC", "MLO"):
        drawn = phantom_view(
            seed,
            laterality="R" if seed % 2 else "L",
            view=view,
            clusters=clusters,
            appearance=look,
            width=1400,
            height=1800,
        )
        mammogram = Mammogram(
            pixels=drawn.stored.astype(np.float32) / np.float32(2**drawn.bits - 1),
            spacing=Spacing(drawn.spacing_mm, drawn.spacing_mm, "imager"),
            laterality=drawn.laterality,
            view=view,
            patient=str(seed),
            sha256=hashlib.sha256(drawn.stored.tobytes()).hexdigest(),
            depth=drawn.bits,
        )
        outlined = [each for each in prelabeller.prelabel(mammogram, threshold=None).findings if each.mask]
        spacing = mammogram.spacing
        assert spacing is not None
        pairs = match(list(drawn.truth), outlined, min_iou=0.2, match_centres=True, spacing=spacing)
        for truth, found in pairs:
            words = drawn.descriptors[truth]
            yield features(prelabeller, mammogram, outlined[found]), words.morphology, words.distribution


def features(prelabeller: Prelabeller, mammogram: Mammogram, finding: Finding) -> Floats:
    """Return the 35 numbers of a finding with a mask."""
    assert finding.mask is not None
    assert mammogram.spacing is not None
    mm, specks = mammogram.spacing.mean_mm, prelabeller.specks(mammogram, finding.mask)
    return np.array(
        [
            *_shape(finding.mask, mm),
            *_cloud(specks, mm),
            *_particles(mammogram.pixels, finding.mask, specks, mm),
            np.log(mm),
            finding.score,
        ]
    )


def _shape(mask: Mask, mm: float) -> list[float]:
    """Elongation, length, area, solidity and direction of a mask."""
    ys, xs = np.nonzero(mask.bitmap)
    spread, axes = np.linalg.eigh(np.cov(np.stack([xs, ys]) * mm) + 1e-6 * np.eye(2))
    spread = np.maximum(spread, 1e-4)
    hull = cv2.contourArea(cv2.convexHull(np.stack([xs, ys], 1).astype(np.int32)))
    area = int(mask.bitmap.sum())
    return [
        float(np.log(spread[1] / spread[0]) / 2),
        float(np.log(np.sqrt(spread[1]))),
        float(np.log(area * mm**2)),
        area / max(hull, 1.0),
        abs(float(axes[0, 1])),
    ]


def _cloud(specks: tuple[Point, ...], mm: float) -> list[float]:
    """Number, elongation, length, width, widening, distances and direction of the specks."""
    at = np.array([(speck.x, speck.y) for speck in specks], np.float64).reshape(-1, 2) * mm
    if len(at) < 4:
        return [float(np.log1p(len(at))), *[0.0] * 7]
    centred = at - at.mean(0)
    spread, axes = np.linalg.eigh(np.cov(centred.T) + 1e-3 * np.eye(2))
    along, across = centred @ axes[:, 1], centred @ axes[:, 0]
    length, width = (float(np.subtract(*np.percentile(each, (90, 10)))) for each in (along, across))
    widening = float(np.corrcoef(np.abs(across), along)[0, 1]) if len(at) > 4 else 0.0
    distances = np.linalg.norm(at[:, None] - at[None], axis=2) + 1e9 * np.eye(len(at))
    return [
        float(np.log1p(len(at))),
        float(np.log(spread[1] / spread[0]) / 2),
        float(np.log(length + 0.1)),
        float(np.log(width + 0.1)),
        abs(widening),
        float(np.log(np.median(distances.min(1)) + 0.05)),
        abs(float(axes[0, 1])),
        float(np.log(np.sqrt(spread[0]))),
    ]


def _particles(pixels: Floats, mask: Mask, specks: tuple[Point, ...], mm: float) -> list[float]:
    """Median, spread and percentiles of elongation, area, contrast, solidity and sharpness of the specks."""
    frame = mask.frame.dilated(12)
    x0, y0 = max(0, frame.x0), max(0, frame.y0)
    crop = np.ascontiguousarray(pixels[y0 : frame.y1, x0 : frame.x1], np.float32)
    side = max(3, 2 * round((1.05 / mm - 1) / 2) + 1)
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
    contrast = cv2.morphologyEx(cv2.GaussianBlur(crop, (0, 0), 0.8), cv2.MORPH_TOPHAT, disc)
    local = crop - cv2.GaussianBlur(crop, (0, 0), 0.84 / mm)
    noise = 1.4826 * float(np.median(np.abs(local - np.median(local)))) + 1e-6
    reach = int(np.ceil(0.6 / mm))
    rows = []
    for speck in specks[:MAX_PARTICLES]:
        x, y = speck.x - x0, speck.y - y0
        top, left = max(0, y - reach), max(0, x - reach)
        patch = np.asarray(contrast[top : y + reach + 1, left : x + reach + 1])
        peak = float(patch[y - top, x - left])
        if peak <= 0:
            continue
        half, wide = (_part(patch > share * peak, y - top, x - left) for share in (0.5, 0.3))
        ys, xs = np.nonzero(half)
        weights, at = patch[ys, xs], np.stack([xs, ys], 1) * mm
        offset = at - (at * weights[:, None]).sum(0) / weights.sum()
        axes = np.linalg.eigvalsh(
            (offset * weights[:, None]).T @ offset / weights.sum() + mm**2 / 12 * np.eye(2)
        )
        hull = cv2.convexHull(np.argwhere(wide)[:, ::-1].astype(np.int32))
        rows.append(
            [
                np.log(axes[1] / axes[0]) / 2 if len(ys) > 2 else 0.0,
                np.log(half.sum() * mm**2),
                peak / noise,
                wide.sum() / (cv2.contourArea(hull) + 0.5 * len(hull)),
                np.log(wide.sum() / half.sum()),
            ]
        )
    if not rows:
        return [0.0] * 20
    table = np.array(rows)
    return [*np.median(table, 0), *table.std(0), *np.percentile(table, 85, 0), *np.percentile(table, 15, 0)]


def _part(bitmap: npt.NDArray[np.bool_], y: int, x: int) -> npt.NDArray[np.bool_]:
    """Return the connected part at a pixel."""
    labels = cv2.connectedComponents(bitmap.astype(np.uint8))[1]
    return np.asarray(labels == labels[y, x])


def fitted(x: Floats, y: npt.NDArray[np.int64], *, penalty: float, classes: int) -> Floats:
    """Fit a softmax regression; returns (D + 1) x K weights, the last row the constants."""
    known = np.eye(classes)[y]
    inputs = np.hstack([x, np.ones((len(x), 1))])

    def loss(flat: Floats) -> tuple[float, Floats]:
        weights = flat.reshape(-1, classes)
        logs = log_softmax(inputs @ weights, axis=1)
        gradient = inputs.T @ (np.exp(logs) - known) / len(x)
        gradient[:-1] += 2 * penalty * weights[:-1]
        return float(-(logs * known).sum() / len(x) + penalty * (weights[:-1] ** 2).sum()), gradient.ravel()

    start = np.zeros(inputs.shape[1] * classes)
    return np.asarray(minimize(loss, start, jac=True, method="L-BFGS-B").x.reshape(-1, classes))


def logits(x: Floats, weights: Floats) -> Floats:
    return np.asarray(x @ weights[:-1] + weights[-1])


def report(name: str, x: Floats, said: list[str], seeds: npt.NDArray[np.int64]) -> None:
    """Fit on the training patients and print the figures of the test patients."""
    words = sorted(set(said))
    y = np.array([words.index(word) for word in said])
    train, test = seeds < TEST_SEED, seeds >= TEST_SEED
    x = np.clip((x - x[train].mean(0)) / (x[train].std(0) + 1e-6), -5, 5)
    folds = np.where(train, seeds % FOLDS, -1)
    held_out = {}
    for penalty in PENALTIES:
        out = np.zeros((len(y), len(words)))
        for fold in range(FOLDS):
            weights = fitted(
                x[train & (folds != fold)], y[train & (folds != fold)], penalty=penalty, classes=len(words)
            )
            out[folds == fold] = logits(x[folds == fold], weights)
        held_out[penalty] = out[train]

    def loss(z: Floats) -> float:
        return float(-log_softmax(z, axis=1)[np.arange(len(z)), y[train]].mean())

    penalty = min(PENALTIES, key=lambda each: loss(held_out[each]))
    temperature = min(np.linspace(0.5, 3, 51), key=lambda each: loss(held_out[penalty] / each))
    weights = fitted(x[train], y[train], penalty=penalty, classes=len(words))
    p, known = softmax(logits(x[test], weights) / temperature, axis=1), y[test]
    chosen, sure = p.argmax(1), p.max(1)
    owners = [str(seed) for seed in seeds[test]]
    print(
        f"\n{name}: {train.sum()} findings to fit, {test.sum()} to test, penalty {penalty}, "
        f"temperature {temperature:.2f}"
    )
    right = chosen == known

    def share(of: npt.NDArray[np.bool_]) -> str:
        return str(
            interval(
                lambda w: float((w * (right & of)).sum() / (w * of).sum()) if (w * of).sum() else np.nan,
                owners,
            )
        )

    print(
        f"accuracy {share(np.ones_like(right))}; most frequent word alone {np.bincount(known).max() / len(known):.3f}"
    )
    for index, word in enumerate(words):
        row = [int(((known == index) & (chosen == other)).sum()) for other in range(len(words))]
        precise = share(chosen == index)
        print(
            f"  {word:12} as {dict(zip(words, row, strict=True))}: recall {share(known == index)}, precision {precise}"
        )
    print(
        f"sure ({SURE} or more): {float((sure >= SURE).mean()):.3f} of the findings, right {share(sure >= SURE)}"
    )
    bins = np.minimum((sure * BINS).astype(int), BINS - 1)
    error = sum(
        abs(right[bins == b].mean() - sure[bins == b].mean()) * (bins == b).mean() for b in set(bins.tolist())
    )
    print(f"expected calibration error, {BINS} bins: {error:.3f}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--train", type=int, default=200, help="patients to fit on")
    parser.add_argument("--test", type=int, default=100, help="patients to test on")
    parser.add_argument(
        "--work", type=Path, required=True, help="folder of the features, reused by a second run"
    )
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    prelabeller = Prelabeller.load(starter_files(), threads=1)
    rows, morphologies, distributions, owners = [], [], [], []
    for seed in [*range(TRAIN_SEED, TRAIN_SEED + options.train), *range(TEST_SEED, TEST_SEED + options.test)]:
        path = options.work / f"{seed}.npz"
        if not path.is_file():
            found = list(findings_of(prelabeller, seed))
            np.savez(
                path, x=np.array([each[0] for each in found]), words=np.array([each[1:] for each in found])
            )
        stored = np.load(path)
        for x, (morphology, distribution) in zip(stored["x"], stored["words"], strict=True):
            rows.append(x)
            morphologies.append(str(morphology))
            distributions.append(str(distribution))
            owners.append(seed)
    report("morphology", np.array(rows), morphologies, np.array(owners))
    report("distribution", np.array(rows), distributions, np.array(owners))


if __name__ == "__main__":
    main()
