import pytest
import torch

from training.mask_loss import mask_loss, uncertain_points


def square(side: int, start: int, stop: int) -> torch.Tensor:
    target = torch.zeros(1, 1, side, side)
    target[..., start:stop, start:stop] = 1
    return target


@pytest.mark.parametrize("num_points", [None, 500])
def test_a_perfect_mask_costs_nothing_and_its_opposite_much(num_points):
    target = square(64, 16, 48)
    logits = (square(64, 16, 48) - 0.5) * 40
    generator = torch.Generator().manual_seed(0)
    right = mask_loss(logits, target, num_points=num_points, generator=generator)
    wrong = mask_loss(-logits, target, num_points=num_points, generator=generator)
    assert float(right.dice) < 0.06
    assert float(right.cross_entropy) < 0.2
    assert float(wrong.dice) > 0.9
    assert float(wrong.cross_entropy) > 5


def test_the_full_loss_is_the_textbook_one():
    logits, target = torch.randn(2, 1, 8, 8), (torch.rand(2, 1, 8, 8) > 0.5).float()
    p = logits.sigmoid()
    expected = torch.stack(
        [(2 * (p[i] * target[i]).sum() + 1) / (p[i].sum() + target[i].sum() + 1) for i in (0, 1)]
    )
    loss = mask_loss(logits, target, num_points=None)
    torch.testing.assert_close(loss.dice, 1 - expected.mean())
    entropy = -(target * p.log() + (1 - target) * (1 - p).log()).mean()
    torch.testing.assert_close(loss.cross_entropy, entropy)


def test_a_target_smaller_than_a_logit_cell_is_still_supervised():
    """A speck of 3 pixels under logits of stride 4: averaging the target down would leave nothing above a half."""
    target = square(64, 29, 32)
    logits = torch.zeros(1, 1, 16, 16, requires_grad=True)
    mask_loss(logits, target, num_points=None).dice.backward()
    assert logits.grad is not None
    assert int(logits.grad.argmin()) == 7 * 16 + 7


def test_points_gather_where_the_mask_is_uncertain():
    logits = torch.full((1, 1, 32, 32), 10.0)
    logits[..., 16] = 0
    points = uncertain_points(logits, num_points=400, generator=torch.Generator().manual_seed(0))
    near = ((points[..., 0] * 32 - 16.5).abs() < 1.5).float().mean()
    assert points.shape == (1, 400, 2)
    assert float(near) > 2 * 3 / 32
    assert 0 <= float(points.min()) <= float(points.max()) <= 1


def test_the_same_generator_gives_the_same_loss():
    logits, target = torch.randn(1, 1, 16, 16), square(64, 10, 40)
    first, second = (
        mask_loss(logits, target, num_points=50, generator=torch.Generator().manual_seed(4)) for _ in range(2)
    )
    assert torch.equal(first.total, second.total)
