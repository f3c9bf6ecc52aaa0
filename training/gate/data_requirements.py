"""The least data that a dataset version needs for a retrain that could end in a promotion."""

from __future__ import annotations

from mammo.errors import InsufficientData
from training.datasets.versions import DatasetVersion
from training.gate.gate import GateRule


def require_enough_data(dataset: DatasetVersion, rule: GateRule) -> None:
    """Refuse a dataset version on which hours of training could not end in a promotion.

    Raises:
        InsufficientData: too few corrections or patients; the message says how many more are needed.
    """
    excluded = f" ({len(dataset.excluded)} excluded: {dataset.why_excluded})" if dataset.excluded else ""
    if not dataset.items:
        raise InsufficientData(f"no correction can be trained on{excluded}; annotate some tasks first")
    if not dataset.num_findings("train"):
        raise InsufficientData(
            f"none of the {dataset.num_patients('train')} training patients has an annotated cluster{excluded}; "
            "annotate patients with clusters"
        )
    held_out = dataset.num_patients("test")
    if held_out < rule.min_patients:
        raise InsufficientData(
            f"only {held_out} patients are held out for the test and the gate needs {rule.min_patients}{excluded}; "
            f"about one new patient in four is held out, so annotate about {4 * (rule.min_patients - held_out)} more"
        )
