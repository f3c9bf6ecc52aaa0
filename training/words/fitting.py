"""Fit the head of a project on its newest dataset version, measure it on held-out patients, and apply the rule."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from mammo.labelstudio.config_controls import OF_FINDINGS
from mammo.site import Site
from mammo.words.head import SCHEMA
from training.cases import Progress
from training.datasets.versions import newest_dataset_version
from training.second_look.predictions import unlearned_predictions
from training.second_look.unlearned import Lineage
from training.words.examples import Examples, examples_of
from training.words.figures import calibration_error, confusion, exact_limit, figure, lower_limit, share
from training.words.rule import THRESHOLDS, Agreement, WordRule, in_words
from training.words.softmax import FOLDS, Floats, Indices, SoftmaxFit, fit


def fit_words(project: int, *, site: Site, rule: WordRule, progress: Progress) -> dict[str, Any]:
    """Return the head of a project as JSON values; `mammo.words.WordHeads` keeps it.

    Raises:
        ModelNotFound: the project has no dataset version.
        MammoError: Label Studio does not say the project's labels, or no image can be read now.
    """
    dataset = newest_dataset_version(project, engine=site.engine, blobs=site.blobs)
    predicted = unlearned_predictions(dataset, store=site.store, lineage=Lineage(site.registry, site.blobs))
    examples, left = examples_of(
        dataset, predicted=predicted, open_image=site.images.open, tags=site.tags(project), progress=progress
    )
    agreements = agreements_of(project, site)
    return {
        "schema": SCHEMA,
        "project": project,
        "dataset": dataset.name,
        "left_out": left,
        "descriptors": {
            name: fit_descriptor(name, each, agreement=agreements.get(name), rule=rule)
            for name, each in examples.items()
        },
    }


def agreements_of(project: int, site: Site) -> dict[str, Agreement]:
    """Return how often readers of a project say the same word, over all pairs of readers, by descriptor."""
    compared: dict[str, list[tuple[int, float]]] = {}
    for pair in site.readers(project).pairs(since=None, until=None):
        for each in pair.descriptors:
            if each.observed is not None:
                compared.setdefault(each.name, []).append((each.compared, each.observed))
    return {
        name: Agreement(
            compared=(total := sum(number for number, _ in pairs)),
            observed=sum(number * observed for number, observed in pairs) / total,
        )
        for name, pairs in compared.items()
    }


def fit_descriptor(
    name: str, examples: Examples, *, agreement: Agreement | None, rule: WordRule
) -> dict[str, Any]:
    """Fit, measure and judge the words of one descriptor.

    Returns:
        JSON values: `words`, a row for each word that people said, with its counts, figures and `sentence`; `head`,
        which `mammo.words.head.DescriptorHead` reads, None if too little was said to fit one; the figures of all words
        on held-out patients; and the rule's `bar`.
    """
    words = [word for word in OF_FINDINGS[name] if word in examples.words]
    train, patients = np.array(examples.train, bool), np.array(examples.patients)
    y = np.array([words.index(word) for word in examples.words], np.int64)
    bar = rule.bar_of(agreement)
    common = {
        "bar": bar,
        "agreement": agreement and vars(agreement),
        "proposed_before": examples.num_proposed,
    }
    num_patients = len(set(patients[train]))
    if num_patients < FOLDS or len(set(y[train])) < 2:
        sentence = (
            f"{name}: no head could be fitted; it needs two words and {FOLDS} patients to train on, and there are "
            f"{len(set(y[train]))} and {num_patients}"
        )
        rows = [_row(word, index, y, patients, None, rule, bar) for index, word in enumerate(words)]
        return {**common, "head": None, "sentence": sentence, "words": rows}
    fitted = fit(examples.x[train], y[train], [*patients[train]], num_classes=len(words))
    measured = _Measured(fitted, examples, y, bar)
    head = {
        "words": words,
        "mean": fitted.mean.tolist(),
        "scale": fitted.scale.tolist(),
        "weights": fitted.weights.tolist(),
        "temperature": fitted.temperature,
        "penalty": fitted.penalty,
    }
    rows = [_row(word, index, y, patients, measured, rule, bar) for index, word in enumerate(words)]
    return {**common, "head": head, "sentence": "", "words": rows, "held_out": measured.summary()}


class _Measured:
    """What a fitted head says about held-out patients, and from which probability it is sure."""

    def __init__(self, fitted: SoftmaxFit, examples: Examples, y: Indices, bar: float) -> None:
        train = np.array(examples.train, bool)
        self.patients = [each for each, inside in zip(examples.patients, train, strict=True) if not inside]
        self.num_words = fitted.weights.shape[1]
        self.truth = y[~train]
        probabilities = (
            fitted.probabilities(examples.x[~train]) if self.patients else np.zeros((0, self.num_words))
        )
        self.said, self.probability = probabilities.argmax(1), probabilities.max(1, initial=0.0)
        self.right = self.said == self.truth
        trained = [each for each, inside in zip(examples.patients, train, strict=True) if inside]
        self.thresholds = [
            _threshold(fitted.held_out, y[train], trained, index, bar) for index in range(self.num_words)
        ]

    def summary(self) -> dict[str, Any]:
        """The figures of all words."""
        counts = np.bincount(self.truth, minlength=self.num_words)
        return {
            "findings": len(self.truth),
            "patients": len(set(self.patients)),
            "accuracy": figure(share(self.right, np.ones_like(self.right), self.patients)),
            "most_frequent": float(counts.max() / len(self.truth)) if len(self.truth) else None,
            "calibration_error": calibration_error(self.probability, self.right),
            "confusion": confusion(self.truth, self.said, num_words=self.num_words),
        }

    def row(self, index: int) -> dict[str, Any]:
        """The figures of one word."""
        said = self.said == index
        sure = said & (self.probability >= self.thresholds[index])
        num_sure = int(sure.sum())
        return {
            "recall": figure(share(self.right, self.truth == index, self.patients)),
            "precision": figure(share(self.right, said, self.patients)),
            "threshold": self.thresholds[index],
            "sure": {
                "findings": num_sure,
                "patients": len({p for p, each in zip(self.patients, sure, strict=True) if each}),
                "precision": float(self.right[sure].mean()) if num_sure else None,
                "low": round(lower_limit(self.right, sure, self.patients), 4),
            },
        }


def _threshold(held_out: Floats, y: Indices, patients: list[str], index: int, bar: float) -> float:
    """Return the least probability from which a word reaches the bar on the folds, else the one that comes nearest."""
    said, probability, right = held_out.argmax(1) == index, held_out.max(1), held_out.argmax(1) == y
    limits = {
        threshold: exact_limit(right, said & (probability >= threshold), patients) for threshold in THRESHOLDS
    }
    reached = [threshold for threshold, low in limits.items() if low >= bar]
    return reached[0] if reached else max(THRESHOLDS, key=limits.__getitem__)


def _row(
    word: str, index: int, y: Indices, patients: Any, measured: _Measured | None, rule: WordRule, bar: float
) -> dict[str, Any]:
    """What is known of one word, and what the rule says."""
    num_findings, num_patients = int((y == index).sum()), len(set(patients[y == index]))
    figures: Mapping[str, Any] = measured.row(index) if measured else {}
    sure = figures.get("sure") or {"findings": 0, "precision": None, "low": 0.0}
    precision, low, num_sure = sure["precision"], sure["low"], sure["findings"]
    missing = rule.missing(
        word,
        num_findings=num_findings,
        num_patients=num_patients,
        num_sure=num_sure,
        precision=precision,
        low=low,
        bar=bar,
    )
    return {
        "word": word,
        "findings": num_findings,
        "patients": num_patients,
        **figures,
        "proposed": not missing,
        "sentence": in_words(word, missing, precision=precision, low=low, num_sure=num_sure),
    }
