"""The points that a project's judged runs have left behind, and what the newest of them decided on."""

from __future__ import annotations

from typing import Any

import orjson

from mammo.blobs import Blobs
from mammo.errors import InvalidWeights
from mammo.runs import Run, Runs, is_provisional
from mammo.training_settings import TrainingSettings
from training.evaluation.model_version import Evaluation
from training.gate.gate import GateRule
from training.learning_curve.curve import GAIN, Curve, Judged, Measurement, curve_of
from training.provisional.recipes import PROVISIONAL_RECIPES
from training.retrain.recipes import RECIPES

JUDGED = ("promoted", "kept", "provisional")
MAX_RUNS = 500


def gate_rule(settings: TrainingSettings) -> GateRule:
    """The rule of a site's gate."""
    return (
        RECIPES[settings.recipe]
        .with_gate(
            primary=settings.gate_primary or None,
            confidence=settings.gate_confidence,
            min_patients=settings.gate_min_patients,
        )
        .gate
    )


def judged_runs(runs: Runs, project: int) -> list[Run]:
    """The judged runs of a project, oldest first, without adaptations, which learn from no correction."""
    newest = runs.newest(project=project, limit=MAX_RUNS)
    return [run for run in reversed(newest) if run.state in JUDGED and run.trigger != "adapt"]


def curve_from_runs(
    project: int, *, runs: Runs, blobs: Blobs, rule: GateRule, gain: float = GAIN
) -> Curve | None:
    """The learning curve of what runs have left behind; None before the first judged run.

    Runs for provisional models judge every corrected patient, the gate judges held-out ones; the kind of the newest run
    is used, since the other kind is measured on other patients.
    """
    judged = judged_runs(runs, project)
    if not judged:
        return None
    kind = is_provisional(judged[-1].recipe)
    measurements = []
    newest: Judged | None = None
    for run in judged:
        if is_provisional(run.recipe) != kind:
            continue
        results = runs.results(run.id)
        evaluations = _evaluations(results)
        folds = _folds(results, blobs)
        if evaluations is None or not folds:
            continue
        champion, challenger = evaluations
        newest = Judged(champion, challenger, sum(fold == "test" for fold in folds.values()))
        measurements.append(Measurement(_trained_on(run, folds), challenger, run.id))
    method = (
        "each point is a run for a provisional model, whose patients were judged by models trained without them"
        if kind
        else "each point is the challenger of a judged run"
    )
    return curve_of(measurements, newest, rule=rule, method=method, gain=gain)


def _evaluations(results: dict[str, Any]) -> tuple[Evaluation, Evaluation] | None:
    """Champion and challenger of a run; None if a former release judged it otherwise."""
    try:
        champion, challenger = (Evaluation.from_json(results[each]) for each in ("champion", "challenger"))
    except (KeyError, TypeError):
        return None
    return champion, challenger


def _folds(results: dict[str, Any], blobs: Blobs) -> dict[str, str]:
    """The fold of every patient in the dataset version of a run; empty if that cannot be read."""
    try:
        items = orjson.loads(blobs.read(results["dataset"]["name"]))["items"]
        return {item["patient"]: item["fold"] for item in items}
    except (InvalidWeights, KeyError):
        return {}


def _trained_on(run: Run, folds: dict[str, str]) -> int:
    """Patients that the challenger of a run was trained on."""
    if not is_provisional(run.recipe):
        return sum(fold != "test" for fold in folds.values())
    groups = min(PROVISIONAL_RECIPES[run.recipe].max_groups, len(folds))
    return round(len(folds) * (1 - 1 / groups))
