from dataclasses import replace

import torch

from mammo.segmenter.box_prior import MAX_RADIUS, BoxPrior, box_basis
from mammo.segmenter.config import MlsamConfig
from mammo.segmenter.network import BOTTOM_RIGHT, NEGATIVE, PADDING, POSITIVE, TOP_LEFT, new_network
from mammo.segmenter.roi import LOGIT_STRIDE
from tests.mammo.segmenter.networks import small

SIDE = 64


def basis_of(coordinates: list[tuple[float, float]], labels: list[int]) -> torch.Tensor:
    at = torch.tensor([labels])
    return box_basis(torch.tensor([coordinates]), at == TOP_LEFT, at == BOTTOM_RIGHT, side=SIDE)


def test_the_untrained_prior_is_the_ellipse_in_the_box_before_its_dilation():
    # A box of 100 x 50 input pixels around (128, 100), dilated by a tenth of each side.
    basis = basis_of([(68.0, 70.0), (188.0, 130.0)], [TOP_LEFT, BOTTOM_RIGHT])
    prior = BoxPrior(8)(torch.zeros(1, 8), basis)[0, 0]
    y, x = torch.meshgrid(*[(torch.arange(SIDE) + 0.5) * LOGIT_STRIDE] * 2, indexing="ij")
    ellipse = ((x - 128) / 50) ** 2 + ((y - 100) / 25) ** 2 <= 1
    assert torch.equal(prior > 0, ellipse)
    assert prior.min() == 4 - 4 * MAX_RADIUS


def test_a_prompt_without_a_box_has_no_prior():
    basis = basis_of([(30.0, 30.0), (90.0, 90.0), (0.0, 0.0)], [POSITIVE, NEGATIVE, PADDING])
    assert not basis.any()


def test_points_beside_the_box_do_not_move_the_prior():
    alone = basis_of([(68.0, 70.0), (188.0, 130.0)], [TOP_LEFT, BOTTOM_RIGHT])
    with_points = basis_of(
        [(5.0, 5.0), (99.0, 99.0), (68.0, 70.0), (188.0, 130.0)], [POSITIVE, NEGATIVE, TOP_LEFT, BOTTOM_RIGHT]
    )
    assert torch.equal(alone, with_points)


def test_a_box_narrower_than_a_pixel_gives_finite_logits():
    basis = basis_of([(50.0, 50.0), (50.0, 50.0)], [TOP_LEFT, BOTTOM_RIGHT])
    assert torch.isfinite(basis).all()


def test_the_prior_is_added_to_the_mask_of_boxes_and_changes_no_other():
    plain = small(combine="hq")
    config: MlsamConfig = replace(plain.config, box_prior=True)
    network = new_network(config, seed=1).eval()
    network.load_state_dict(plain.state_dict(), strict=False)
    levels = plain.encode(torch.zeros(1, 3, config.input_size, config.input_size))
    coordinates = torch.tensor([[[10.0, 12.0], [40.0, 50.0]], [[10.0, 12.0], [0.0, 0.0]]])
    labels = torch.tensor([[TOP_LEFT, BOTTOM_RIGHT], [POSITIVE, PADDING]])
    with torch.no_grad():
        before, after = (
            each.decode(levels.neck, each.fuse(levels), coordinates, labels).logits
            for each in (plain, network)
        )
    basis = box_basis(coordinates, labels == TOP_LEFT, labels == BOTTOM_RIGHT, side=4 * config.grid)
    expected = BoxPrior(1)(torch.zeros(2, 1), basis)
    torch.testing.assert_close(after - before, expected, atol=1e-4, rtol=0)
    torch.testing.assert_close(after[1], before[1])
