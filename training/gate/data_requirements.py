"""Enough: whether a dataset version is worth hours of training."""

from __future__ import annotations

from mammo.errors import InsufficientData
from training.datasets.versions import DatasetVersion
from training.gate.gate import GateRule


def require_enough(dataset: DatasetVersion, rule: GateRule) -> None:
    """Stop before hours of training that could not end in a promotion.

    Raises:
        InsufficientData: too few corrections or patients; says what is missing.
    """
    left_out = f" ({len(dataset.excluded)} left out: {dataset.why_excluded})" if dataset.excluded else ""
    if not dataset.items:
        raise InsufficientData(f"no correction can be trained on{left_out}; annotate some tasks first")
    if not dataset.num_findings("train"):
        raise InsufficientData(
            f"none of the {dataset.num_patients('train')} training patients has an annotated cluster{left_out}; "
            "annotate patients with clusters"
        )
    held_out = dataset.num_patients("test")
    if held_out < rule.min_patients:
        raise InsufficientData(
            f"only {held_out} patients are held out for the test and the gate needs {rule.min_patients}{left_out}; "
            f"about every fourth new patient is held out, so annotate some {4 * (rule.min_patients - held_out)} more"
        )
