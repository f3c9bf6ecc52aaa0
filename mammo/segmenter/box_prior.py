"""Box prior: logits of an ellipse in the prompt's box, which the network shifts and scales and then corrects."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mammo.segmenter.roi import LOGIT_STRIDE, MARGIN

MAX_RADIUS = 3.0
"""Beyond it the prior is constant."""

OFFSET = SLOPE = 4.0
"""Initial values: the prior is 4 at the centre, 0 on the ellipse and -8 beyond `MAX_RADIUS`."""


class BoxPrior(nn.Module):
    """A term of the mask's logits that depends on the box of the prompt.

    With the elliptical radius r (1 on the ellipse inscribed in the box) and the output token t,

        prior(x, y) = offset(t) - slope(t) * r(x, y)

    where offset and slope are linear in t; a prompt without a box has none. An untrained network thus returns the
    ellipse, and training starts there: from few images a decoder does not learn that from scratch. The token can
    switch the prior off, as it must for single calcifications in the box of a cluster.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.shape = nn.Linear(width, 2)
        nn.init.zeros_(self.shape.weight)
        with torch.no_grad():
            self.shape.bias.copy_(torch.tensor([OFFSET, SLOPE]))

    def forward(self, token: Tensor, basis: Tensor) -> Tensor:
        """Return the prior of N prompts, N x 1 x s x s.

        Args:
            token: N x C, the output token after the two-way transformer.
            basis: N x 2 x s x s, the result of `box_basis`.
        """
        shape = self.shape(token).float()
        prior: Tensor = (shape[:, :, None, None] * basis).sum(1, keepdim=True)
        return prior


def box_basis(coordinates: Tensor, top_left: Tensor, bottom_right: Tensor, *, side: int) -> Tensor:
    """Return the maps 1 and -r of each prompt's box on the grid of the logits; both are 0 without a box.

    Args:
        coordinates: N x K x 2, (x, y) of the prompt in the continuous frame of the input. The box was dilated by
            `MARGIN` on each side.
        top_left, bottom_right: N x K bool, which coordinate is that corner.
        side: s, of the grid.

    Returns:
        N x 2 x s x s float32.
    """
    first = (coordinates * top_left[..., None]).sum(1)
    last = (coordinates * bottom_right[..., None]).sum(1)
    centre = (first + last) / 2
    half = ((last - first) / (2 * (1 + 2 * MARGIN))).clamp(min=1.0)
    axis = (torch.arange(side, device=coordinates.device, dtype=torch.float32) + 0.5) * LOGIT_STRIDE
    x, y = ((axis - centre[:, i, None]) / half[:, i, None] for i in (0, 1))
    radius = (x[:, None, :] ** 2 + y[:, :, None] ** 2).sqrt().clamp(max=MAX_RADIUS)
    has_box = top_left.any(1)[:, None, None, None]
    return torch.stack([torch.ones_like(radius), -radius], dim=1) * has_box
