"""Can a small head propose morphology and distribution? Measured on phantom patients that it was not fitted on.

    python -m benchmarks.descriptors --train 200 --test 100 --work FOLDER

Draws phantom patients with three clusters each in CC and MLO (grouped, linear and segmental ones alike; vendor_a, _b
and _c), lets the starter find and outline them, and describes every finding that lies on a cluster by 35 numbers: the
shape of its mask, its cloud of specks and their shapes, the spacing and the score. A softmax regression with an L2
penalty is fitted on these, its penalty and temperature chosen by five folds of patients of the training part. Reported
on the test patients: confusion matrix, recall and precision of each word with intervals over patients, accuracy where
the head is sure, expected calibration error. Features and fit are those of the product (`mammo.words.features`,
`training.words`), but the truth is known here, and nothing is kept. The words are those of the phantoms: none is coarse
or typically benign.
"""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mammo.dicom import Mammogram
from mammo.geometry import Spacing
from mammo.models.starter_files import starter_files
from mammo.phantom import phantom_view, vendor_a, vendor_b, vendor_c
from mammo.phantom.calcifications import DISTRIBUTIONS, sample_cluster
from mammo.pipeline import Prelabeller
from mammo.readings.matching import match
from mammo.words.features import Floats, features
from training.words.figures import BINS, calibration_error, share
from training.words.softmax import fit

TRAIN_SEED, TEST_SEED = 50_000, 60_000
SURE = 0.8


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
            if (x := features(mammogram, outlined[found])) is not None:
                yield x, words.morphology, words.distribution


def report(name: str, x: Floats, said: list[str], seeds: npt.NDArray[np.int64]) -> None:
    """Fit on the training patients and print the figures of the test patients."""
    words = sorted(set(said))
    y = np.array([words.index(word) for word in said])
    train, test = seeds < TEST_SEED, seeds >= TEST_SEED
    fitted = fit(x[train], y[train], [str(seed) for seed in seeds[train]], num_classes=len(words))
    p, known = fitted.probabilities(x[test]), y[test]
    chosen, sure = p.argmax(1), p.max(1)
    owners = [str(seed) for seed in seeds[test]]
    print(
        f"\n{name}: {train.sum()} findings to fit, {test.sum()} to test, penalty "
        f"{fitted.penalty}, temperature {fitted.temperature:.2f}"
    )
    right = chosen == known

    def right_among(of: npt.NDArray[np.bool_]) -> str:
        return str(share(right, of, owners))

    most = np.bincount(known).max() / len(known)
    print(f"accuracy {right_among(np.ones_like(right))}; most frequent word alone {most:.3f}")
    for index, word in enumerate(words):
        row = [int(((known == index) & (chosen == other)).sum()) for other in range(len(words))]
        recall, precision = right_among(known == index), right_among(chosen == index)
        print(f"  {word:12} as {dict(zip(words, row, strict=True))}: recall {recall}, precision {precision}")
    print(
        f"sure ({SURE} or more): {float((sure >= SURE).mean()):.3f} of the findings, right {right_among(sure >= SURE)}"
    )
    print(f"expected calibration error, {BINS} bins: {calibration_error(sure, right):.3f}")


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
