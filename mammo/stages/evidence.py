"""Evidence: figures of a project's corrections about the model that serves it."""

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
    """Edit effort of the prelabelled or the control images; see `mammo.efforts.effort_records.EffortSummary`."""

    images: int = 0
    accept_rate: float | None = None
    dice: float | None = None
    added_per_image: float | None = None
    deleted_per_image: float | None = None
    lead_time: float | None = None
    """Median time per annotation, in seconds."""

    hasty_share: float = 0.0

    @classmethod
    def of(cls, records: Sequence[EffortRecord]) -> Figures:
        """Summarise records; without records all figures are None or 0."""
        if not records:
            return cls()
        summary = summarise(records)
        return cls(
            images=summary.images,
            accept_rate=summary.accept_rate,
            dice=summary.dice,
            added_per_image=summary.added_per_image,
            deleted_per_image=summary.deleted_per_image,
            lead_time=summary.lead_time,
            hasty_share=summary.hasty / summary.images,
        )


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """All figures that a change of stage is based on."""

    model_version: str
    """Model version that serves the project; corrections of other versions are left out."""

    prelabelled: Figures
    control: Figures
    """Images read without a prelabel and compared with the silent one, so the model did not influence the reader."""

    calibration: Calibration | None
    audits: int = 0
    """Reviewed predictions of the audit share, since the project became automatic."""

    audits_right: int = 0
    """Audits whose prediction was right."""

    unreadable: int = 0
    """Corrections of any version that are left out because they cannot be interpreted."""

    problem: str = ""
    """Why the corrections could not be read; the project can then only go back. Otherwise empty."""

    def to_json(self) -> dict[str, Any]:
        """Return the JSON object that the audit log stores."""
        return asdict(self)


def gather(efforts: Efforts, *, model_version: str, since: StageChange | None, rules: StageRules) -> Evidence:
    """Compute the evidence of a project.

    Args:
        efforts: Edit effort of the project's corrections.
        since: Last change of the project's stage.
    """
    records = sorted(
        (each for each in efforts.records if each.model_version == model_version), key=lambda each: each.at
    )
    prelabelled = [each for each in records if each.arm == "prelabelled"][-rules.window :]
    control = [each for each in records if each.arm == "control"][-rules.window :]
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
    """Return whether a record reviews a prediction that would have been accepted, but was in the random audit share."""
    return (
        since.stage == "automatic"
        and since.threshold is not None
        and record.model_version == since.model_version
        and record.at > since.at
        and record.score is not None
        and record.score >= since.threshold
        and audited(record.project, record.task, since.audit_share or 0.0)
    )
