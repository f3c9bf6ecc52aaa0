"""The start of a detector's training: random weights, a detector, or public weights of the stock network."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from mammo.detector import load_network
from mammo.detector.attention import PRETRAINED_GATE_BIAS
from mammo.detector.transfer import is_stock, load_stock, transfer
from mammo.errors import InvalidWeights
from training.detector.box_loss import BoxLoss
from training.detector.recipes import DetectorRecipe
from training.detector.trainer import TrainableNetwork

_RULE = TypeAdapter(BoxLoss)


@dataclass(frozen=True, kw_only=True)
class Start:
    """A network before training."""

    network: TrainableNetwork

    detector: Path | None
    """The start weights, if they detect clusters; None for random and public weights."""

    facts: dict[str, Any]
    """Its origin and box loss; JSON values."""


def prepare(start: Path | None, recipe: DetectorRecipe) -> Start:
    """Build the network of a run and load its start weights.

    A detector keeps its spec, and its box loss unless the recipe sets one. Public weights get the recipe's spec, with
    open attention gates.

    Raises:
        InvalidWeights: `start` is neither a detector nor public weights, or of another scale than the recipe.
    """
    if start is None:
        rule = recipe.box_loss or BoxLoss()
        network = TrainableNetwork(recipe.spec, gate_bias=recipe.gate_bias, rule=rule)
        return Start(network=network, detector=None, facts=_facts("scratch", rule))
    if is_stock(start):
        rule = recipe.box_loss or BoxLoss()
        stock = load_stock(start)
        network = TrainableNetwork(stock.spec(recipe.spec), gate_bias=PRETRAINED_GATE_BIAS, rule=rule)
        report = transfer(stock, network)
        facts = {**_facts("public", rule), "public_weights": stock.facts, "transfer": report.summary()}
        return Start(network=network, detector=None, facts=facts)
    start_network, start_facts = load_network(start)
    rule = recipe.box_loss or _stated_box_loss(start_facts, start.name)
    network = TrainableNetwork(start_network.spec, gate_bias=0.0, rule=rule)
    network.load_state_dict(start_network.state_dict(), strict=True)
    facts = _facts("detector", rule)
    if "public_weights" in start_facts:  # the licence still applies
        facts["public_weights"] = start_facts["public_weights"]
    return Start(network=network, detector=start, facts=facts)


def _facts(kind: str, rule: BoxLoss) -> dict[str, Any]:
    return {"from_scratch": kind == "scratch", "start": kind, "box_loss": asdict(rule)}


def _stated_box_loss(facts: dict[str, Any], name: str) -> BoxLoss:
    """The box loss that weights were trained with; CIoU if they do not state it."""
    recipe = facts.get("recipe")
    stated = facts.get("box_loss") or (recipe.get("box_loss") if isinstance(recipe, dict) else None)
    if stated is None:
        return BoxLoss()
    try:
        return _RULE.validate_python(stated)
    except ValidationError:
        raise InvalidWeights(
            f"{name}: it states that it was trained with the unknown box loss {stated!r}; set one in the recipe (ciou, "
            "paper or siou)"
        ) from None
