"""Networks small enough for a unit test."""

from dataclasses import replace

import torch

from mammo.segmenter.config import MlsamConfig
from mammo.segmenter.network import Mlsam, new_network

torch.set_num_threads(1)

SMALL = MlsamConfig(encoder="smoke", input_size=64, decoder_width=32)


def small(**changes: object) -> Mlsam:
    return new_network(replace(SMALL, **changes), seed=3).eval()  # type: ignore[arg-type]


def some_pixels(config: MlsamConfig, *, images: int = 1) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(images, 3, config.input_size, config.input_size, generator=generator)
