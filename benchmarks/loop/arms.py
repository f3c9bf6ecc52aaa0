"""The arms of the simulation: what the annotators are given, and who they are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from mammo.worklist.order import Strategy


@dataclass(frozen=True, kw_only=True)
class Arm:
    """One way to run the project; all else is equal."""

    name: str
    model: Literal["none", "starter", "learning"] = "learning"
    """What prelabels: nothing, the starter throughout, or what the project has made of it."""

    gate: bool = True
    """Whether challengers must win; without, each is promoted as it is, from the first round on."""

    provisional: bool = True
    """Whether a provisional model serves while the gate has too few patients."""

    order: Strategy = "random"
    annotator: Literal["careful", "credulous"] = "careful"
    blind_share: float = 0.0
    """Share of the patients that are read without a prelabel."""

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


STARTER = Arm(name="starter", model="starter")
LOOP = Arm(name="loop")

ARMS: Mapping[str, Arm] = {
    arm.name: arm
    for arm in (
        Arm(name="no-model", model="none"),
        STARTER,
        LOOP,
        replace(LOOP, name="no-gate", gate=False),
        replace(LOOP, name="no-provisional", provisional=False),
        replace(LOOP, name="uncertain-first", order="score"),
        replace(LOOP, name="blind", blind_share=0.25),
        replace(LOOP, name="credulous", annotator="credulous", blind_share=0.25),
        replace(STARTER, name="starter-blind", blind_share=0.25),
        replace(STARTER, name="starter-credulous", annotator="credulous", blind_share=0.25),
    )
}
"""By name.

    no-model         every outline is drawn
    starter          the starter prelabels and answers clicks, and nothing is learned
    loop             the product: provisional models until the gate has patients enough, then the gate
    no-gate          every challenger serves, judged or not
    no-provisional   the starter serves until the first promotion
    uncertain-first  as the loop; the least certain prelabels are read first
    blind            as the loop; a quarter of the patients is read without a prelabel
    credulous        the same, by annotators who accept too easily
    starter-...      the last two without learning: what the annotators alone make of it
"""

MAIN = ("no-model", "starter", "loop", "no-gate")
EVERY = tuple(ARMS)
