"""Networks for tests: untrained, but with outputs that spread like those of a trained one."""

from __future__ import annotations

import torch
from torch import nn

from mammo.detector import DetectorNetwork, DetectorSpec


def lively_network(spec: DetectorSpec, *, seed: int = 1, spread: float = 2.0) -> DetectorNetwork:
    """Random weights that find nonsense everywhere, always the same.

    Batch norms of a fresh network expect unit variance and get far less, so every score comes out alike: here they
    are measured on noise first.
    """
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    network = DetectorNetwork(spec)
    for branch in network.model[-1].cv3:
        nn.init.normal_(branch[-1].weight, std=spread / branch[-1].in_channels ** 0.5)
        nn.init.constant_(branch[-1].bias, -2.0)
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    usual = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 1.0
    with torch.no_grad():
        network.train()(torch.rand(4, 1, 128, 128).expand(-1, 3, -1, -1))
    for norm, momentum in zip(norms, usual, strict=True):
        norm.momentum = momentum
    return network.eval()
