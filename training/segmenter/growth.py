"""Change of a network to another configuration: shared weights are copied, new ones are random, others left out."""

from __future__ import annotations

from mammo.errors import InvalidWeights
from mammo.segmenter.config import MlsamConfig
from mammo.segmenter.network import Mlsam, new_network


def grown(start: Mlsam, config: MlsamConfig, *, seed: int) -> Mlsam:
    """Build a network of another configuration and copy the weights that both configurations have.

    Raises:
        InvalidWeights: the encoders or decoders differ in shape.
    """
    network = new_network(config, seed=seed)
    target, source = network.state_dict(), start.state_dict()
    shared = {name for name in target if name in source}
    wrong = [name for name in sorted(shared) if target[name].shape != source[name].shape]
    missing = [name for name in target if name.startswith("image_encoder.") and name not in shared]
    if wrong or missing:
        raise InvalidWeights(
            f"the start weights have encoder {start.config.encoder!r} at {start.config.input_size} pixels, which does "
            f"not fit {config.encoder!r} at {config.input_size}: {(wrong + missing)[0]!r} differs; use weights of the "
            "same encoder"
        )
    network.load_state_dict({name: source[name] for name in shared}, strict=False)
    return network
