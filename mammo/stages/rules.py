"""StageRules: what must be measured before a project moves from one stage to another."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Literal

from mammo.errors import InvalidSettings

Stage = Literal["assisted", "semi-automatic", "automatic"]

ORDER: tuple[Stage, ...] = ("assisted", "semi-automatic", "automatic")
"""From the least that the model may do to the most."""

DEFAULT_STAGE: Stage = "semi-automatic"
"""Of a project that nobody has decided on: every image is prelabelled and reviewed."""


@dataclass(frozen=True, kw_only=True)
class StageRules:
    """Thresholds of all rules. They are judgements, not measurements: a site should set its own."""

    window: int = 200
    """Newest corrections of the serving model that count, of prelabelled and of control images each."""

    least_images: int = 50
    """Fewer than this prove nothing; of prelabelled images, or of the control, whichever a rule is about."""

    enter_semi_dice: float = 0.5
    """assisted -> semi-automatic: mean Dice of silent predictions with what was drawn, at least."""

    enter_semi_false: float = 1.0
    """assisted -> semi-automatic: false findings per image that annotators would have to delete, at most."""

    leave_semi_dice: float = 0.3
    """semi-automatic -> assisted: mean Dice of prelabels with corrections below this, which is less than to enter."""

    leave_semi_false: float = 2.0
    """semi-automatic -> assisted: more deleted findings per image than this."""

    least_control: int = 20
    """semi-automatic -> automatic: images of the control (blind tasks) at least."""

    most_hasty: float = 0.1
    """semi-automatic -> automatic: part of the corrections accepted too fast to have been looked at, at most."""

    most_anchoring: float = 0.15
    """semi-automatic -> automatic: mean Dice of prelabelled images may exceed that of the control by this at most.

    People who see a proposal draw nearer to it; a large gap says that corrections follow the model.
    """

    right_dice: float = 0.8
    """A prediction was right if no finding was added or deleted, and its Dice with the correction is at least this."""

    right_share: float = 0.95
    """Automatic: part of the accepted predictions that must be right, ..."""

    confidence: float = 0.95
    """... shown with this confidence (one-sided)."""

    audit_share: float = 0.1
    """Automatic: part of the predictions above the threshold that people review all the same, drawn at random."""

    audit_window: int = 50
    """Automatic: newest audits that are judged."""

    least_audits: int = 10
    """Automatic: fewer audits are not judged."""

    audit_floor: float = 0.9
    """automatic -> semi-automatic, at once: part of the audited predictions that were right, below this."""


def rules_of(overrides: Mapping[int, Mapping[str, float]], project: int) -> StageRules:
    """The rules of a project.

    Args:
        overrides: `Settings.stage_rules`.

    Raises:
        InvalidSettings: a name that is no rule, or a value that the rule cannot have.
    """
    known = {field.name: field for field in fields(StageRules)}
    changes: dict[str, float | int] = {}
    for name, value in overrides.get(project, {}).items():
        if name not in known:
            raise InvalidSettings(
                f"YOLO_MLSAM_STAGE_RULES: project {project} sets {name!r}; rules are {', '.join(known)}"
            )
        if isinstance(known[name].default, int):
            if value != int(value) or value < 1:
                raise InvalidSettings(
                    f"YOLO_MLSAM_STAGE_RULES: {name} takes whole numbers from 1 on, got {value}"
                )
            changes[name] = int(value)
        elif value < 0 or (value > 1 and not name.endswith("_false")):
            raise InvalidSettings(f"YOLO_MLSAM_STAGE_RULES: {name} cannot be {value}")
        else:
            changes[name] = value
    return replace(StageRules(), **changes)  # type: ignore[arg-type]
