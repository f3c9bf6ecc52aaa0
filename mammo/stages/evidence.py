"""Evidence: what the corrections of a project say about the model that serves it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from mammo.efforts.effort_records import EffortRecord, Efforts, summarise
from mammo.stages.acceptance import audited
from mammo.stages.calibration import Calibration, calibrate, is_right
from mammo.stages.log import StageChange
from mammo.stages.rules import StageRules


@dataclass(frozen=True, kw_only=True)
class Figures:
    """Of prelabelled or of control images."""

    images: int = 0
    accept_rate: float | None = None
    dice: float | None = None
    added_per_image: float | None = None
    deleted_per_image: float | None = None
    lead_time: float | None = None
    """Median seconds."""

    hasty_share: float = 0.0

    @classmethod
    def of(cls, records: Sequence[EffortRecord]) -> Figures:
        """Of some records; of none where there are none."""
        if not records:
            return cls()
        found = summarise(records)
        return cls(
            images=found.images,
            accept_rate=found.accept_rate,
            dice=found.dice,
            added_per_image=found.added_per_image,
            deleted_per_image=found.deleted_per_image,
            lead_time=found.lead_time,
            hasty_share=found.hasty / found.images,
        )


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """All numbers that a change of stage rests on."""

    model_version: str
    """That serves the project; corrections of other versions prove nothing about it."""

    prelabelled: Figures
    control: Figures
    """Read without a prelabel, compared with the silent prediction: nobody was led by the model."""

    calibration: Calibration | None
    audits: int = 0
    """Reviewed predictions above the threshold, since the project became automatic."""

    audits_right: int = 0

    unreadable: int = 0
    """Corrections, of whatever version, that are in none of these numbers because they cannot be read."""

    problem: str = ""
    """Why there are no figures, where the corrections could not be read; then a project can only go back."""

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def gather(efforts: Efforts, *, model_version: str, since: StageChange | None, rules: StageRules) -> Evidence:
    """The evidence of a project.

    Args:
        efforts: of the project's corrections, of people only.
        since: the change that made the project what it is.
    """
    mine = sorted(
        (each for each in efforts.records if each.model_version == model_version), key=lambda each: each.at
    )
    prelabelled = [each for each in mine if each.arm == "prelabelled"][-rules.window :]
    control = [each for each in mine if each.arm == "control"][-rules.window :]
    audits = [each for each in prelabelled if since is not None and _is_audit(each, since)]
    audits = audits[-rules.audit_window :]
    return Evidence(
        model_version=model_version,
        prelabelled=Figures.of(prelabelled),
        control=Figures.of(control),
        calibration=calibrate(prelabelled, rules),
        audits=len(audits),
        audits_right=sum(is_right(each, rules) for each in audits),
        unreadable=len(efforts.unreadable),
    )


def _is_audit(record: EffortRecord, since: StageChange) -> bool:
    """A person reviewed a prediction that would have been accepted, drawn at random, not because it looked wrong."""
    return (
        since.stage == "automatic"
        and since.threshold is not None
        and record.model_version == since.model_version
        and record.at > since.at
        and record.score is not None
        and record.score >= since.threshold
        and audited(record.project, record.task, since.audit_share or 0.0)
    )
