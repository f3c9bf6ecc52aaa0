"""Split: the part of the encoder that a run never changes, computed once, and the part computed at every step."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from mammo.errors import InvalidWeights
from mammo.segmenter.encoder import Encoder, Levels
from mammo.segmenter.network import Mlsam
from training.segmenter.recipes import Training

Kept = Mapping[str, Tensor]
"""What is computed once, by name; each B x ..."""


class Split:
    """Where the encoder is cut: after it (`hq`, `decoder`), at its middle tap (`lora`), before it (`all`)."""

    def __init__(self, network: Mlsam, policy: Training) -> None:
        """
        Raises:
            InvalidWeights: `lora` on an encoder that is no plain ViT.
        """
        if policy == "lora" and not isinstance(network.image_encoder, Encoder):
            raise InvalidWeights(
                f"policy 'lora' needs a plain ViT, the weights have {network.config.encoder!r}; take 'hq', 'decoder' "
                "or 'all'"
            )
        self._network = network
        self._policy = policy

    @property
    def keeps(self) -> bool:
        """Whether anything is worth keeping."""
        return self._policy != "all"

    def before(self, planes: Tensor) -> Kept:
        """B x 3 x S x S -> what never changes during the run.

        It holds every level that any configuration of this encoder takes, so all rows of Table 3 share it.
        """
        if not self.keeps:
            return {"planes": planes}
        encoder, config = self._network.image_encoder, self._network.config
        if not isinstance(encoder, Encoder):  # a TinyViT has stages and its own taps
            levels = self._network.encode(planes)._asdict()
            return {name: level for name, level in levels.items() if level is not None}
        x = encoder.patch_embed(planes) + encoder.pos_embed  # B g g C
        early, middle, _ = config.taps
        kept: dict[str, Tensor] = {}
        for number, block in enumerate(encoder.blocks, start=1):
            x = block(x)
            if number == early:
                kept["early"] = x.permute(0, 3, 1, 2)
            if number == middle:
                kept["middle"] = x.permute(0, 3, 1, 2)
                if self._policy == "lora":
                    return kept
        kept["neck"] = encoder.neck(x.permute(0, 3, 1, 2))
        if config.final_source == "block":
            kept["final"] = x.permute(0, 3, 1, 2)
        return kept

    def after(self, kept: Kept) -> Levels:
        """The levels that the decoder takes."""
        if self._policy == "all":
            return self._network.encode(kept["planes"])
        if self._policy == "lora":
            return self._later_half(kept)
        used = self._network.config
        return Levels(
            neck=kept["neck"],
            early=kept.get("early") if used.hq_token and used.early else None,
            middle=kept.get("middle") if used.hq_token and used.middle else None,
            final=kept.get("final") if used.hq_token and used.final_source == "block" else None,
        )

    def _later_half(self, kept: Kept) -> Levels:
        encoder, used = self._network.image_encoder, self._network.config
        assert isinstance(encoder, Encoder), "checked when it was split"
        x = kept["middle"].permute(0, 2, 3, 1)
        for block in encoder.blocks[used.taps[1] :]:
            x = block(x)
        x = x.permute(0, 3, 1, 2)
        return Levels(
            neck=encoder.neck(x),
            early=kept["early"] if used.hq_token and used.early else None,
            middle=kept["middle"] if used.hq_token and used.middle else None,
            final=x if used.hq_token and used.final and used.final_source == "block" else None,
        )
