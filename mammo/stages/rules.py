"""StageRules: the figures that a project must reach to move from one stage to another."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Literal

from mammo.errors import InvalidSettings

Stage = Literal["assisted", "semi-automatic", "automatic"]

ORDER: tuple[Stage, ...] = ("assisted", "semi-automatic", "automatic")
"""Stages by increasing autonomy of the model."""

DEFAULT_STAGE: Stage = "semi-automatic"
"""Stage of a project that was never changed: every image is prelabelled and reviewed."""


@dataclass(frozen=True, kw_only=True)
class StageRules:
    """Thresholds of all rules. They are judgements, not measurements; a site should set its own."""

    window: int = 200
    """Newest corrections of the serving model that are evaluated, for prelabelled and control images each."""

    least_images: int = 50
    """Fewest images, prelabelled or control, on which a rule is evaluated."""

    enter_semi_dice: float = 0.5
    """assisted -> semi-automatic: lowest mean Dice of silent predictions and annotations."""

    enter_semi_false: float = 1.0
    """assisted -> semi-automatic: most false findings per image, which annotators would have to delete."""

    leave_semi_dice: float = 0.3
    """semi-automatic -> assisted: if the mean Dice of prelabels and corrections is below this (less than to enter)."""

    leave_semi_false: float = 2.0
    """semi-automatic -> assisted: if more findings per image than this are deleted."""

    least_control: int = 20
    """semi-automatic -> automatic: fewest images of the control arm (blind tasks)."""

    most_hasty: float = 0.1
    """semi-automatic -> automatic: largest share of prelabels accepted too fast to have been looked at."""

    most_anchoring: float = 0.15
    """semi-automatic -> automatic: largest excess of the mean Dice of prelabelled images over that of the control arm.

    Readers who see a prelabel draw closer to it (anchoring); a large gap means that corrections follow the model.
    """

    right_dice: float = 0.8
    """Lowest Dice with the correction of a right prediction, whose findings were neither added to nor deleted."""

    right_share: float = 0.95
    """automatic: lowest share of accepted predictions that are right, ..."""

    confidence: float = 0.95
    """... established with this one-sided confidence."""

    audit_share: float = 0.1
    """automatic: share of the accepted predictions that people review all the same, selected at random."""

    audit_window: int = 50
    """automatic: newest audits that are evaluated."""

    least_audits: int = 10
    """automatic: fewest audits that are evaluated."""

    audit_floor: float = 0.9
    """automatic -> semi-automatic, at once: if the share of right predictions among the audits is below this."""


def rules_of(overrides: Mapping[int, Mapping[str, float]], project: int) -> StageRules:
    """Return the rules of a project.

    Args:
        overrides: `Settings.stage_rules`.

    Raises:
        InvalidSettings: A rule does not exist, or its value is out of range.
    """
    rules = {field.name: field for field in fields(StageRules)}
    changes: dict[str, float | int] = {}
    for name, value in overrides.get(project, {}).items():
        if name not in rules:
            raise InvalidSettings(
                f"YOLO_MLSAM_STAGE_RULES: project {project} sets {name!r}, which is no rule; "
                f"rules are {', '.join(rules)}"
            )
        if isinstance(rules[name].default, int):
            if value != int(value) or value < 1:
                raise InvalidSettings(
                    f"YOLO_MLSAM_STAGE_RULES: {name} must be a whole number of at least 1, got {value}"
                )
            changes[name] = int(value)
        elif value < 0 or (value > 1 and not name.endswith("_false")):
            limit = "0 or more" if name.endswith("_false") else "in [0, 1]"
            raise InvalidSettings(f"YOLO_MLSAM_STAGE_RULES: {name} must be {limit}, got {value}")
        else:
            changes[name] = value
    return replace(StageRules(), **changes)  # type: ignore[arg-type]
