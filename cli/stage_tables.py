"""A project's stage as tables or as JSON."""

from __future__ import annotations

from typing import Any

import orjson
from rich.table import Table

from mammo.stages import Proposal, StageReport


def to_json(report: StageReport | Proposal) -> str:
    """Return a report or a proposal as JSON."""
    return orjson.dumps(report).decode()


def proposal_table(report: StageReport) -> Table:
    """Return the rules of the next possible change, each with the measured and the required value."""
    proposal = report.proposal
    stays = proposal.stage == report.stage
    title = f"stays {report.stage}" if stays else f"the rules propose {proposal.stage}"
    table = Table("rule", "measured", "required", "", title=title, caption=proposal.reason)
    for check in proposal.checks:
        table.add_row(check.name, check.measured, check.needed, "met" if check.met else "-")
    if report.evidence.unreadable:
        table.add_row("corrections that cannot be read", str(report.evidence.unreadable), "not counted", "")
    return table


def history_table(report: StageReport) -> Table:
    """Return the audit log, oldest first."""
    table = Table("when", "who", "change", "why", "evidence", title="audit log")
    for change in report.history:
        step = f"{change.before} -> {change.stage}" + (" (override)" if change.overruled else "")
        if change.threshold is not None:
            step += f", {change.model_version} from score {change.threshold:.2f}"
        table.add_row(
            f"{change.at:%Y-%m-%d %H:%M}", change.actor, step, change.reason, _evidence(change.evidence)
        )
    return table


def _evidence(evidence: dict[str, Any]) -> str:
    """Return the most important figures; `--json` has all."""
    if evidence.get("problem"):
        return str(evidence["problem"])
    parts = []
    for name in ("prelabelled", "control"):
        figures = evidence[name]
        dice = "" if figures["dice"] is None else f", Dice {figures['dice']:.2f}"
        parts.append(f"{figures['images']} {name}{dice}")
    if evidence["audits"]:
        parts.append(f"{evidence['audits_right']} of {evidence['audits']} audits right")
    if evidence.get("unreadable"):
        parts.append(f"{evidence['unreadable']} could not be read")
    return "; ".join(parts)
