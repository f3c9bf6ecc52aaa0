"""ReadingRules: when two readings of an image agree, and how their consensus is formed."""

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
    """The rules of one double reading, stored with it and applied whenever its state is computed."""

    match_iou: float = 0.1
    """Lowest IoU of the boxes of two findings that may be one lesion, in [0, 1]."""

    match_centres: bool = True
    """Two findings may also be one lesion if the centre of either box lies in the other."""

    least_dice: float = 0.7
    """Lowest Dice of two outlines that agree, in [0, 1]: of the masks, or of the boxes where neither has a mask."""

    most_boundary_mm: float = 1.0
    """Largest mean distance of two outlines that agree, in mm; 0.07 mm per pixel if the image states none."""

    consensus: ConsensusRule = "staple"
    """How two outlines that agree are merged."""

    rounds: int = 2
    """Independent rounds before the arbiter; from the second round on, readers get only the disputed images."""

    second_look: SecondLook = "own"
    """What a reader sees in a later round: the reader's own earlier reading, or nothing. Never the other reader's."""

    def __post_init__(self) -> None:
        for name in ("match_iou", "least_dice"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ValueError(f"{name} must lie in [0, 1], got {getattr(self, name)}")
        if self.most_boundary_mm < 0.0:
            raise ValueError(f"most_boundary_mm must be 0 mm or more, got {self.most_boundary_mm}")
        if not 1 <= self.rounds <= MAX_ROUNDS:
            raise ValueError(f"rounds must lie in [1, {MAX_ROUNDS}], got {self.rounds}")
        if self.consensus not in CONSENSUS_RULES:
            raise ValueError(f"consensus must be one of {', '.join(CONSENSUS_RULES)}, got {self.consensus!r}")
        if self.second_look not in SECOND_LOOKS:
            raise ValueError(
                f"second_look must be one of {', '.join(SECOND_LOOKS)}, got {self.second_look!r}"
            )

    @property
    def digest(self) -> str:
        """SHA-256 of the rules that an agreement and a consensus depend on."""
        parts = (self.match_iou, self.match_centres, self.least_dice, self.most_boundary_mm, self.consensus)
        return hashlib.sha256(repr(parts).encode()).hexdigest()

    def to_json(self) -> dict[str, Any]:
        """Return the JSON object that the database stores."""
        return asdict(self)

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> ReadingRules:
        """Restore rules from `to_json`; a rule that an earlier release did not store has its default."""
        return cls(**{field.name: stored[field.name] for field in fields(cls) if field.name in stored})
