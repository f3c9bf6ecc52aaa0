"""The click is one graph without control flow that looks at data: a runtime may compile it once."""

import torch
from torch import nn
from torch.export import Dim

from mammo.segmenter.network import BOTTOM_RIGHT, NEGATIVE, PADDING, POSITIVE, TOP_LEFT
from tests.mammo.segmenter.networks import SMALL, drawn, small, some_pixels


class Click(nn.Module):
    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, neck, fused, coordinates, labels, previous, has_previous):
        decoded = self.network.decode(
            neck, fused, coordinates, labels, previous=previous, has_previous=has_previous
        )
        return decoded.logits, decoded.iou, decoded.presence


def arguments(network, *, num_prompts, num_points):
    levels = network.encode(some_pixels(SMALL))
    kinds = torch.tensor([TOP_LEFT, BOTTOM_RIGHT, POSITIVE, NEGATIVE, PADDING])
    labels = kinds[torch.arange(num_prompts * num_points) % 5].reshape(num_prompts, num_points)
    coordinates = 30 + 10 * drawn(num_prompts, num_points, 2, seed=1)
    previous, has_previous = drawn(num_prompts, 1, 16, 16, seed=2), torch.arange(num_prompts) % 2 == 0
    return levels.neck, network.fuse(levels), coordinates, labels, previous, has_previous


def test_one_exported_click_serves_any_number_of_prompts_and_points():
    network = small(presence=True)
    click = Click(network).eval()
    N, K = Dim("N", min=2, max=64), Dim("K", min=2, max=16)
    shapes = (None, None, {0: N, 1: K}, {0: N, 1: K}, {0: N}, {0: N})
    with torch.no_grad():
        exported = torch.export.export(
            click, arguments(network, num_prompts=3, num_points=4), dynamic_shapes=shapes
        ).module()
        for num_prompts, num_points in ((2, 2), (5, 7)):
            given = arguments(network, num_prompts=num_prompts, num_points=num_points)
            for ours, theirs in zip(exported(*given), click(*given), strict=True):
                torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)
