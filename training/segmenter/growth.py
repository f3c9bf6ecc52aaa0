"""A network of one configuration grows into another: what both have stays, what is new starts at random."""

from __future__ import annotations

from mammo.errors import InvalidWeights
from mammo.segmenter.config import MlsamConfig
from mammo.segmenter.network import Mlsam, new_network


def grown(start: Mlsam, config: MlsamConfig, *, seed: int) -> Mlsam:
    """A network of another configuration that computes what `start` does wherever the two agree; the rest is new.

    Raises:
        InvalidWeights: the two have encoders or decoders of another shape.
    """
    network = new_network(config, seed=seed)
    ours, theirs = network.state_dict(), start.state_dict()
    shared = {name for name in ours if name in theirs}
    wrong = [name for name in sorted(shared) if ours[name].shape != theirs[name].shape]
    missing = [name for name in ours if name.startswith("image_encoder.") and name not in shared]
    if wrong or missing:
        raise InvalidWeights(
            f"the start has encoder {start.config.encoder!r} at {start.config.input_size} pixels and does not fit "
            f"{config.encoder!r} at {config.input_size}: {(wrong + missing)[0]!r} differs; give weights of one encoder"
        )
    network.load_state_dict({name: theirs[name] for name in shared}, strict=False)
    return network
