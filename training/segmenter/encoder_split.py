"""EncoderSplit: the part of the encoder that a run does not train, computed once, and the part computed every step."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from mammo.errors import InvalidWeights
from mammo.segmenter.encoder import Encoder, Levels
from mammo.segmenter.network import Mlsam
from training.segmenter.recipes import Policy

FrozenFeatures = Mapping[str, Tensor]
"""Output of the frozen part by name; each B x ..."""


class EncoderSplit:
    """Cuts the encoder after its end (`hq`, `decoder`), at its middle tap (`lora`) or before its start (`all`)."""

    def __init__(self, network: Mlsam, policy: Policy) -> None:
        """
        Raises:
            InvalidWeights: policy `lora` with an encoder that is not a plain ViT.
        """
        if policy == "lora" and not isinstance(network.image_encoder, Encoder):
            raise InvalidWeights(
                f"policy 'lora' needs a plain ViT, but the weights have {network.config.encoder!r}; use 'hq', "
                "'decoder' or 'all'"
            )
        self._network = network
        self._policy = policy

    @property
    def has_frozen_part(self) -> bool:
        return self._policy != "all"

    def frozen_features(self, planes: Tensor) -> FrozenFeatures:
        """Compute the frozen part.

        Without one, these are the planes themselves. Otherwise they include every level that any configuration of this
        encoder uses, so that all rows of Table 3 can share them.

        Args:
            planes: B x 3 x S x S.
        """
        if not self.has_frozen_part:
            return {"planes": planes}
        encoder, config = self._network.image_encoder, self._network.config
        if not isinstance(encoder, Encoder):  # a TinyViT, which has its own taps
            levels = self._network.encode(planes)._asdict()
            return {name: level for name, level in levels.items() if level is not None}
        x = encoder.patch_embed(planes) + encoder.pos_embed  # B g g C
        early, middle, _ = config.taps
        features: dict[str, Tensor] = {}
        for number, block in enumerate(encoder.blocks, start=1):
            x = block(x)
            if number == early:
                features["early"] = x.permute(0, 3, 1, 2)
            if number == middle:
                features["middle"] = x.permute(0, 3, 1, 2)
                if self._policy == "lora":
                    return features
        features["neck"] = encoder.neck(x.permute(0, 3, 1, 2))
        if config.final_source == "block":
            features["final"] = x.permute(0, 3, 1, 2)
        return features

    def levels(self, features: FrozenFeatures) -> Levels:
        """Compute the levels that the decoder uses from the output of the frozen part."""
        if self._policy == "all":
            return self._network.encode(features["planes"])
        if self._policy == "lora":
            return self._from_middle(features)
        config = self._network.config
        return Levels(
            neck=features["neck"],
            early=features.get("early") if config.hq_token and config.early else None,
            middle=features.get("middle") if config.hq_token and config.middle else None,
            final=features.get("final") if config.hq_token and config.final_source == "block" else None,
        )

    def _from_middle(self, features: FrozenFeatures) -> Levels:
        encoder, config = self._network.image_encoder, self._network.config
        assert isinstance(encoder, Encoder), "checked in __init__"
        x = features["middle"].permute(0, 2, 3, 1)
        for block in encoder.blocks[config.taps[1] :]:
            x = block(x)
        x = x.permute(0, 3, 1, 2)
        return Levels(
            neck=encoder.neck(x),
            early=features["early"] if config.hq_token and config.early else None,
            middle=features["middle"] if config.hq_token and config.middle else None,
            final=x if config.hq_token and config.final and config.final_source == "block" else None,
        )
