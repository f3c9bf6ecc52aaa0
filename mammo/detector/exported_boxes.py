"""The detector in OpenVINO's format with its boxes decoded, for programs that have no torch."""

from __future__ import annotations

from copy import deepcopy

import openvino  # type: ignore[import-untyped]
import torch
from torch import Tensor, nn

from mammo.detector.decode import RawMaps
from mammo.detector.network import DetectorNetwork
from mammo.models.exported_networks import convert_network


class _Boxes(nn.Module):
    """1 x 3 x H x W -> 1 x A x 5: corners in pixels and score of every anchor, before non-maximum suppression.

    A distance is the mean of its distribution over the bins; see `mammo.detector.decode.decode_anchors`.
    """

    def __init__(self, network: DetectorNetwork) -> None:
        super().__init__()
        self.network = network
        self.strides = [float(stride) for stride in network.model[-1].stride]

    def forward(self, pixels: Tensor) -> Tensor:
        output = self.network(pixels)
        raw: RawMaps = output[1] if isinstance(output, tuple) else output
        centres, strides = [], []
        for feature, stride in zip(raw["feats"], self.strides, strict=True):
            # Counted by sums of ones, because traced sizes would become constants.
            ones = torch.ones_like(feature[:, :1])
            centres.append(torch.cat([ones.cumsum(3) - 0.5, ones.cumsum(2) - 0.5], 1).flatten(2))
            strides.append(ones.flatten(2) * stride)
        boxes = raw["boxes"]
        distributions = boxes.reshape(1, 4, boxes.shape[1] // 4, -1).softmax(2)
        bins = torch.arange(distributions.shape[2], dtype=torch.float32)
        distances = (distributions * bins[None, None, :, None]).sum(2)
        centre = torch.cat(centres, 2)
        corners = torch.cat([centre - distances[:, :2], centre + distances[:, 2:]], 1) * torch.cat(strides, 2)
        return torch.cat([corners, raw["scores"].sigmoid()], 1).transpose(1, 2)


@torch.inference_mode()
def export_boxes(network: DetectorNetwork) -> openvino.Model:
    """Convert a network to one that takes 1 x 3 x H x W planes and returns 1 x A x 5 boxes; `network` stays as it is.

    Raises:
        RuntimeError: OpenVINO does not support the network.
    """
    fused = deepcopy(network).eval()
    fused.fuse(verbose=False)
    # In training mode the head returns its raw maps.
    fused.model[-1].training = True
    model = convert_network(_Boxes(fused), torch.zeros(1, 3, 64, 96))
    model.reshape([1, 3, -1, -1])
    return model
