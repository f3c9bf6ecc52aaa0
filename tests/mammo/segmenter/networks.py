"""Networks small enough for a unit test."""

import re
import zlib
from dataclasses import replace

import numpy as np
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


@torch.no_grad()
def filled(network: torch.nn.Module) -> torch.nn.Module:
    """Every number set by its tensor's name alone, of a size that keeps activations near one."""
    for name, tensor in network.state_dict().items():
        if not tensor.is_floating_point():
            continue
        rng = np.random.default_rng(zlib.crc32(name.encode()))
        values = torch.from_numpy(rng.standard_normal(tensor.shape, dtype=np.float32))
        if name.endswith("running_var") or (name.endswith("weight") and tensor.ndim == 1):
            values = 1 + 0.1 * values.abs()
        elif tensor.ndim == 1:
            values = 0.1 * values
        elif not re.search(r"(pos|point|mask)_embed|gaussian|tokens?\.weight$", name):
            values = values / tensor[0].numel() ** 0.5
        tensor.copy_(values)
    return network.eval()


def drawn(*shape: int, seed: int) -> torch.Tensor:
    """Normal numbers that do not depend on torch's generator."""
    return torch.from_numpy(np.random.default_rng(seed).standard_normal(shape, dtype=np.float32))


def sampled(tensor: torch.Tensor) -> list[float]:
    """Sixteen numbers from all over a tensor."""
    return [round(x, 5) for x in tensor.flatten()[:: tensor.numel() // 16 + 1].tolist()]
