"""Proposal: the stage that the rules propose for a project's evidence; pure functions that change nothing."""

from __future__ import annotations

from dataclasses import dataclass

from mammo.stages.evidence import Evidence
from mammo.stages.rules import ORDER, Stage, StageRules


@dataclass(frozen=True, kw_only=True)
class Check:
    """One rule applied to one figure."""

    name: str
    measured: str
    needed: str
    met: bool


@dataclass(frozen=True, kw_only=True)
class Proposal:
    """The stage that the rules propose."""

    current: Stage
    stage: Stage
    """Proposed stage; equal to `current` if the project should stay."""

    reason: str
    checks: tuple[Check, ...]
    """Checks of the step that was considered."""


def propose(current: Stage, evidence: Evidence, rules: StageRules, *, calibrated_for: str | None) -> Proposal:
    """Return the stage that a project should have.

    Args:
        calibrated_for: Model version that an automatic project's threshold was calibrated for.
    """
    if evidence.problem:
        return Proposal(current=current, stage=current, reason=evidence.problem, checks=())
    backward = leaving(current, evidence, rules, calibrated_for=calibrated_for)
    if any(check.met for check in backward):
        reason = "; ".join(f"{check.name}: {check.measured}" for check in backward if check.met)
        return Proposal(current=current, stage=_next(current, -1), reason=reason, checks=backward)
    if current == ORDER[-1]:
        return Proposal(current=current, stage=current, reason="no rule requires going back", checks=backward)
    forward = entering(_next(current, 1), evidence, rules)
    unmet = "; ".join(
        f"{each.name}: {each.measured}, needed {each.needed}" for each in forward if not each.met
    )
    stage = current if unmet else _next(current, 1)
    return Proposal(current=current, stage=stage, reason=unmet or "every rule is met", checks=forward)


def entering(stage: Stage, evidence: Evidence, rules: StageRules) -> tuple[Check, ...]:
    """Return the checks that must all be met before a project may go forward to a stage."""
    if stage == "assisted":
        return ()
    shown, control = evidence.prelabelled, evidence.control
    if stage == "semi-automatic":
        return (
            _at_least("images drawn without a prelabel", control.images, rules.least_images),
            _at_least("Dice of silent predictions", control.dice, rules.enter_semi_dice),
            _at_most("false findings per image", control.deleted_per_image, rules.enter_semi_false),
        )
    gap = None if shown.dice is None or control.dice is None else shown.dice - control.dice
    calibration = evidence.calibration
    return (
        _at_least("reviewed prelabels", shown.images, rules.least_images),
        _at_least("control images (blind tasks)", control.images, rules.least_control),
        _at_most("accepted too fast", shown.hasty_share, rules.most_hasty),
        _at_most("Dice above that of the control", gap, rules.most_anchoring),
        Check(
            name="calibrated threshold",
            measured=f"{calibration.threshold:.2f} ({calibration.right} of {calibration.images} right)"
            if calibration
            else "none holds",
            needed=f"{rules.right_share:.0%} right with {rules.confidence:.0%} confidence",
            met=calibration is not None,
        ),
    )


def leaving(
    stage: Stage, evidence: Evidence, rules: StageRules, *, calibrated_for: str | None
) -> tuple[Check, ...]:
    """Return the checks of which each sends a project back if it is met."""
    shown = evidence.prelabelled
    if stage == "semi-automatic":
        enough = shown.images >= rules.least_images
        return (
            _worse("Dice of prelabels", shown.dice, rules.leave_semi_dice, enough=enough, below=True),
            _worse(
                "deleted per image",
                shown.deleted_per_image,
                rules.leave_semi_false,
                enough=enough,
                below=False,
            ),
        )
    if stage == "automatic":
        audited_share = evidence.audits_right / evidence.audits if evidence.audits else None
        enough = evidence.audits >= rules.least_audits
        return (
            _worse(
                "audited predictions that were right",
                audited_share,
                rules.audit_floor,
                enough=enough,
                below=True,
            ),
            Check(
                name="threshold calibrated for the serving model",
                measured=f"for {calibrated_for}, and {evidence.model_version} serves",
                needed="another model",
                met=calibrated_for != evidence.model_version,
            ),
        )
    return ()


def _next(stage: Stage, step: int) -> Stage:
    return ORDER[ORDER.index(stage) + step]


def _at_least(name: str, measured: float | None, needed: float) -> Check:
    met = measured is not None and measured >= needed
    return Check(name=name, measured=_text(measured), needed=f"at least {_text(needed)}", met=met)


def _at_most(name: str, measured: float | None, needed: float) -> Check:
    met = measured is not None and measured <= needed
    return Check(name=name, measured=_text(measured), needed=f"at most {_text(needed)}", met=met)


def _worse(name: str, measured: float | None, limit: float, *, enough: bool, below: bool) -> Check:
    met = enough and measured is not None and (measured < limit if below else measured > limit)
    needed = f"{'below' if below else 'above'} {_text(limit)}"
    return Check(
        name=name, measured=_text(measured) + ("" if enough else " (too few)"), needed=needed, met=met
    )


def _text(number: float | None) -> str:
    if number is None:
        return "not known"
    return str(number) if isinstance(number, int) else f"{number:.2f}"
