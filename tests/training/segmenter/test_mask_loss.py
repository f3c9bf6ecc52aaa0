import pytest
import torch

from training.segmenter.mask_loss import OVERSAMPLE, mask_loss, num_candidates, presence_loss, sample

YES = torch.tensor([True])


def square(side: int, start: int, stop: int) -> torch.Tensor:
    target = torch.zeros(1, 1, side, side)
    target[..., start:stop, start:stop] = 1
    return target


def centres(side: int) -> torch.Tensor:
    """Every pixel's centre six times, 1 x 6*side*side x 2 in [0, 1], in random order."""
    grid = (torch.stack(torch.meshgrid(*2 * [torch.arange(side)], indexing="xy"), dim=-1) + 0.5) / side
    flat = grid.reshape(-1, 2).repeat(6, 1)
    return flat[torch.randperm(len(flat), generator=torch.Generator().manual_seed(0))][None]


def loss_at_all(logits, target):
    """Candidates on every pixel of the target; four tenths of them count."""
    points = centres(target.shape[-1])
    truth = (sample(target, points) > 0.5).float()
    return mask_loss(logits, points, truth, num_points=len(points[0]) * 4 // 10, present=YES)


def test_a_perfect_mask_costs_nothing_and_its_opposite_much():
    target = square(64, 16, 48)
    logits = (square(64, 16, 48) - 0.5) * 40
    right, wrong = loss_at_all(logits, target), loss_at_all(-logits, target)
    assert float(right.dice) < 0.01
    assert float(right.cross_entropy) < 0.01
    assert float(wrong.dice) > 0.9
    assert float(wrong.cross_entropy) > 5


def test_the_loss_is_the_textbook_one_where_there_is_no_choice():
    """Only some of the candidates are compared; equal logits make their choice irrelevant."""
    torch.manual_seed(0)
    points, truth = torch.rand(2, num_candidates(40), 2), (torch.rand(2, num_candidates(40)) > 0.5).float()
    truth[:] = truth[:, :1]
    logits = torch.tensor([1.5, -0.5]).reshape(2, 1, 1, 1).expand(2, 1, 8, 8)
    p, y = torch.tensor([1.5, -0.5]).sigmoid(), truth[:, 0]
    loss = mask_loss(logits, points, truth, num_points=40, present=torch.tensor([True, True]))
    dice = (2 * 40 * p * y + 1) / (40 * p + 40 * y + 1)
    torch.testing.assert_close(loss.dice, 1 - dice.mean())
    torch.testing.assert_close(loss.cross_entropy, -(y * p.log() + (1 - y) * (1 - p).log()).mean())


def test_a_target_smaller_than_a_logit_cell_is_still_supervised():
    """A speck of 3 pixels under logits of stride 4: averaging the target down would leave nothing above a half."""
    target = square(64, 29, 32)
    logits = torch.zeros(1, 1, 16, 16, requires_grad=True)
    loss_at_all(logits, target).dice.backward()
    assert logits.grad is not None
    assert int(logits.grad.argmin()) == 7 * 16 + 7


def test_points_gather_where_the_mask_is_uncertain():
    """One column of the mask is uncertain and wrong, all else is right: a small part of the region costs much."""
    logits = torch.full((1, 1, 32, 32), 10.0)
    logits[..., 16] = 0.0
    points = torch.rand(1, num_candidates(400), 2, generator=torch.Generator().manual_seed(0))
    near = (points[..., 0] * 32 - 16.5).abs() < 1
    loss = mask_loss(logits, points, (~near).float(), num_points=400, present=YES)
    uniform = torch.nn.functional.binary_cross_entropy_with_logits(sample(logits, points), (~near).float())
    assert float(loss.cross_entropy) > 1.8 * float(uniform)


def test_a_region_without_a_lesion_has_no_mask_to_learn():
    logits = torch.randn(2, 1, 8, 8, requires_grad=True)
    points = torch.rand(2, num_candidates(20), 2)
    truth = (points[..., 0] > 0.5).float()
    mask_loss(logits, points, truth, num_points=20, present=torch.tensor([True, False])).total.backward()
    assert logits.grad is not None
    assert logits.grad[0].abs().sum() > 0
    assert logits.grad[1].abs().sum() == 0


def test_halves_of_a_batch_average_to_the_whole():
    torch.manual_seed(1)
    logits, points = torch.randn(4, 1, 8, 8), torch.rand(4, num_candidates(20), 2)
    truth, present = (points[..., 0] > 0.5).float(), torch.tensor([True, False, True, True])

    def loss(rows):
        return mask_loss(logits[rows], points[rows], truth[rows], num_points=20, present=present[rows]).total

    torch.testing.assert_close(loss(slice(0, 4)), (loss(slice(0, 2)) + loss(slice(2, 4))) / 2)


@pytest.mark.parametrize("num_points", [1, 7, 64, 12544])
def test_there_are_three_candidates_for_each_uncertain_point(num_points):
    uncertain = round(num_points * 0.75)
    assert num_candidates(num_points) == OVERSAMPLE * uncertain + num_points - uncertain


def test_sampling_agrees_with_upsampling_up_to_the_border():
    torch.manual_seed(0)
    logits = torch.randn(1, 1, 16, 16)
    up = torch.nn.functional.interpolate(logits, size=(64, 64), mode="bilinear", align_corners=False)
    points = centres(64)
    columns, rows = (points[0] * 64).long().T
    torch.testing.assert_close(sample(logits, points)[0], up[0, 0, rows, columns], atol=1e-5, rtol=1e-5)


def test_presence_is_learnt_from_both_kinds():
    sure, both = torch.tensor([8.0, -8.0]), torch.tensor([True, True])
    assert float(presence_loss(sure, torch.tensor([True, False]), counted=both)) < 0.01
    assert float(presence_loss(sure, torch.tensor([False, True]), counted=both)) > 5


def test_presence_counts_only_where_it_is_asked():
    wrong, truth = torch.tensor([4.0, -8.0]), torch.tensor([False, True])
    first, second, both, none = (
        float(presence_loss(wrong, truth, counted=torch.tensor(counted)))
        for counted in ([True, False], [False, True], [True, True], [False, False])
    )
    assert 0 < first < second
    assert both == pytest.approx(first + second)
    assert none == 0
