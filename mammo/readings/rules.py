"""ReadingRules: when two readings of an image say the same, and what they say together."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, get_args

ConsensusRule = Literal["intersection", "union", "staple"]
CONSENSUS_RULES: tuple[ConsensusRule, ...] = get_args(ConsensusRule)

SecondLook = Literal["own", "nothing"]
SECOND_LOOKS: tuple[SecondLook, ...] = get_args(SecondLook)

MAX_ROUNDS = 3


@dataclass(frozen=True, kw_only=True)
class ReadingRules:
    """The rules of one double reading. Kept with it, and applied anew whenever its state is asked for."""

    match_iou: float = 0.1
    """Two findings may be one lesion from this IoU of their boxes on."""

    match_centres: bool = True
    """They may also be one lesion when the centre of either box lies in the other box."""

    least_dice: float = 0.7
    """A lesion is agreed on from this Dice on: of the two masks, or of the two boxes where neither has a mask."""

    most_boundary_mm: float = 1.0
    """And up to this mean distance of the two outlines, in mm; 0.07 mm a pixel where the image states no spacing."""

    consensus: ConsensusRule = "staple"
    """What becomes of two outlines that agree."""

    rounds: int = 2
    """Independent rounds before the arbiter; from the second on readers read only what they disagreed on."""

    second_look: SecondLook = "own"
    """What a reader sees in a later round: the own reading before, or nothing. Never the other's."""

    def __post_init__(self) -> None:
        for name in ("match_iou", "least_dice"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ValueError(f"{name} lies in [0, 1], got {getattr(self, name)}")
        if self.most_boundary_mm < 0.0:
            raise ValueError(f"most_boundary_mm is no negative length, got {self.most_boundary_mm}")
        if not 1 <= self.rounds <= MAX_ROUNDS:
            raise ValueError(f"a double reading has 1 to {MAX_ROUNDS} rounds, got {self.rounds}")
        if self.consensus not in CONSENSUS_RULES:
            raise ValueError(f"consensus is one of {', '.join(CONSENSUS_RULES)}, got {self.consensus!r}")
        if self.second_look not in SECOND_LOOKS:
            raise ValueError(f"second_look is one of {', '.join(SECOND_LOOKS)}, got {self.second_look!r}")

    @property
    def digest(self) -> str:
        """Names the rules that an agreement and a consensus depend on."""
        parts = (self.match_iou, self.match_centres, self.least_dice, self.most_boundary_mm, self.consensus)
        return hashlib.sha256(repr(parts).encode()).hexdigest()

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, kept: Mapping[str, Any]) -> ReadingRules:
        """Back from `to_json`; what an earlier release did not know has its default."""
        return cls(**{field.name: kept[field.name] for field in fields(cls) if field.name in kept})
