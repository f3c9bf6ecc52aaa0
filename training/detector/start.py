"""What a detector run begins with: random weights, a detector, or public weights of the stock network."""

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
    """A network that is ready to be trained."""

    network: TrainableNetwork

    detector: Path | None
    """Start weights that can find clusters already; None for random and for public ones."""

    facts: dict[str, Any]
    """Where it came from and its box loss; JSON-able."""


def prepare(start: Path | None, recipe: DetectorRecipe) -> Start:
    """Build the network of a run.

    A detector keeps its spec, and its box loss unless the recipe names one. Public weights take the recipe's spec, with
    open attention gates.

    Raises:
        InvalidWeights: `start` is neither, or belongs to another scale than the recipe.
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
    known, known_facts = load_network(start)
    rule = recipe.box_loss or _trained_by(known_facts, start.name)
    network = TrainableNetwork(known.spec, gate_bias=0.0, rule=rule)
    network.load_state_dict(known.state_dict(), strict=True)
    facts = _facts("detector", rule)
    if "public_weights" in known_facts:  # a licence does not wear off
        facts["public_weights"] = known_facts["public_weights"]
    return Start(network=network, detector=start, facts=facts)


def _facts(kind: str, rule: BoxLoss) -> dict[str, Any]:
    return {"from_scratch": kind == "scratch", "start": kind, "box_loss": asdict(rule)}


def _trained_by(facts: dict[str, Any], name: str) -> BoxLoss:
    """The box loss of an earlier run; CIoU for weights that do not say."""
    recipe = facts.get("recipe")
    stated = facts.get("box_loss") or (recipe.get("box_loss") if isinstance(recipe, dict) else None)
    if stated is None:
        return BoxLoss()
    try:
        return _RULE.validate_python(stated)
    except ValidationError:
        raise InvalidWeights(
            f"{name}: it says that it was trained by the box loss {stated!r}, which we do not know; name one in the "
            "recipe (ciou, paper or siou)"
        ) from None
