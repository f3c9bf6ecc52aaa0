"""The end of a retrain: promotion, and the verdict beside the model version and in the run folder."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy.engine import Connection

from mammo.atomic_files import replacing
from mammo.errors import PromotionConflict
from mammo.models import Alias
from mammo.models.aliases import move_champion
from mammo.models.provisional import withdraw
from mammo.runs import RunLedger
from training.datasets.folds import Fold
from training.datasets.versions import DatasetVersion
from training.gate.adapted import AdaptedVerdict
from training.gate.gate import Verdict
from training.retrain.context import RetrainContext, RetrainRun

VERDICT = "verdict.json"
"""File in the run folder: the summary, and both evaluations image by image."""


def summarize(
    run: RetrainRun, dataset: DatasetVersion, *, champion: str, challenger: str, verdict: Verdict
) -> dict[str, Any]:
    """The result of a run as JSON values; see `training.retrain.retrain.retrain`."""
    folds: tuple[Fold, ...] = ("train", "validation", "test")
    return {
        "run": run.name,
        "project": run.request.project,
        "recipe": run.request.recipe,
        "dataset_version": dataset.name,
        "images": {fold: dataset.num_images(fold) for fold in folds},
        "excluded": dataset.why_excluded,
        "images_without_patient": dataset.num_alone,
        "champion": champion,
        "challenger": challenger,
        "verdict": verdict.to_json(),
        "seconds": run.progress.seconds,
    }


def end_run(
    summary: dict[str, Any], verdict: Verdict | AdaptedVerdict, *, opponent: Alias, ledger: RunLedger
) -> dict[str, Any]:
    """End the run, and promote the challenger if the verdict says so and `opponent` is still the champion.

    The end of the run, the promotion and the end of the project's provisional model are one transaction, so none
    happens without the others, or twice.

    Returns:
        The summary with `promoted` and `reason`.
    """
    reason = verdict.reason
    if verdict.promote:
        promoted = {**summary, "promoted": True, "reason": reason}

        def move(connection: Connection) -> None:
            version, project = summary["challenger"], summary["project"]
            move_champion(
                connection,
                version,
                expected_epoch=opponent.epoch,
                kind="promote",
                reason=reason,
                actor="gate",
            )
            withdraw(connection, project, reason=f"{version} was promoted by the gate", actor="gate")

        try:
            ledger.end("promoted", promoted, reason=reason, also=move)
        except PromotionConflict as error:
            reason = f"won, but was not promoted: {error}"
        else:
            return promoted
    not_promoted = {**summary, "promoted": False, "reason": reason}
    ledger.end("kept", not_promoted, reason=reason)
    return not_promoted


def conclude(summary: dict[str, Any], evaluations: dict[str, Any], *, context: RetrainContext) -> None:
    """Record the verdict of an ended run with the model version and in the run folder. Safe to repeat.

    Args:
        evaluations: of `champion` and `challenger`, by `Evaluation.to_json`.
    """
    if summary["challenger"] is not None:  # a provisional model that lost is not registered
        context.registry.note(
            summary["challenger"],
            "verdict",
            {key: summary[key] for key in ("run", "champion", "promoted", "reason", "verdict")},
        )
    folder = context.runs / summary["run"]
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    judged_at = datetime.now(UTC).isoformat(timespec="seconds")
    content = {**summary, "judged_at": judged_at, "evaluations": evaluations}
    with replacing(folder / VERDICT) as part:
        part.write_text(json.dumps(content, indent=1), encoding="utf-8")


def read_summary(folder: Path) -> dict[str, Any] | None:
    """Read the summary that `conclude` wrote into a run folder; None when the run has not ended."""
    path = folder / VERDICT
    if not path.is_file():
        return None
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return {key: value for key, value in content.items() if key not in ("judged_at", "evaluations")}
