from __future__ import annotations

from random import Random

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mammo.detector import DetectorSpec
from mammo.detector.decode import (
    MAX_ANCHORS,
    MAX_PER_TILE,
    RawMaps,
    decode,
    decode_anchors,
    non_maximum_suppression,
)
from tests.mammo.detector.networks import lively_network


def stock_and_ours(height: int, width: int, threshold: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Candidates above the threshold as the stock head decodes them (x0 y0 x1 y1 score), and ours after NMS."""
    network = lively_network(DetectorSpec())
    head = network.model[-1]
    pixels = torch.rand(1, 3, height, width)
    with torch.inference_mode():
        decoded, raw = network(pixels)
        strides = [float(stride) for stride in head.stride]
        (ours,) = decode(raw, strides=strides, threshold=threshold)
    boxes, scores = decoded[0, :4].T, decoded[0, 4]
    corners = torch.cat([boxes[:, :2] - boxes[:, 2:] / 2, boxes[:, :2] + boxes[:, 2:] / 2], 1)
    return torch.cat([corners, scores[:, None]], 1)[scores >= threshold], ours


def test_every_box_is_one_that_the_stock_head_decodes() -> None:
    stock, ours = stock_and_ours(160, 224, 0.1)
    assert 3 < len(ours) <= len(stock)
    nearest = (stock[None] - ours[:, None]).abs().amax(-1).amin(1)
    assert float(nearest.max()) < 1e-3


def test_the_best_candidate_survives_and_the_rest_is_sorted() -> None:
    stock, ours = stock_and_ours(160, 224, 0.1)
    assert float(ours[0, 4]) == pytest.approx(float(stock[:, 4].max()))
    assert bool((ours[:-1, 4] >= ours[1:, 4]).all())


def test_nothing_above_the_threshold_is_an_empty_table() -> None:
    raw: RawMaps = {
        "boxes": torch.zeros(2, 64, 21),
        "scores": torch.full((2, 1, 21), -9.0),
        "feats": [torch.zeros(2, 1, 4, 4), torch.zeros(2, 1, 2, 2), torch.zeros(2, 1, 1, 1)],
    }
    assert [tuple(boxes.shape) for boxes in decode(raw, strides=[8, 16, 32], threshold=0.5)] == [
        (0, 5),
        (0, 5),
    ]


def test_a_box_lies_around_its_anchor_in_input_pixels() -> None:
    logits = torch.full((1, 1, 21), -20.0)
    logits[0, 0, 16 + 3] = 20.0  # second map, row 1, column 1: anchor at (1.5, 1.5) strides of 16
    distances = torch.full((1, 4, 16, 21), -50.0)
    for side, bin_ in enumerate((1, 1, 2, 3)):
        distances[0, side, bin_] = 50.0
    raw: RawMaps = {
        "boxes": distances.view(1, 64, 21),
        "scores": logits,
        "feats": [torch.zeros(1, 1, 4, 4), torch.zeros(1, 1, 2, 2), torch.zeros(1, 1, 1, 1)],
    }
    (boxes,) = decode(raw, strides=[8, 16, 32], threshold=0.5)
    torch.testing.assert_close(boxes[:, :4], torch.tensor([[8.0, 8.0, 56.0, 72.0]]))


def test_a_threshold_near_0_costs_bounded_work_and_keeps_the_best() -> None:
    asked: list[int] = []

    def distributions(chosen: torch.Tensor) -> torch.Tensor:
        asked.append(len(chosen))
        assert bool((chosen[1:] > chosen[:-1]).all())
        return torch.full((64, len(chosen)), -50.0).index_fill(0, torch.tensor([0, 16, 32, 48]), 50.0)

    logits = torch.rand(200 * 300, generator=torch.Generator().manual_seed(0))
    logits[777] = 5.0
    boxes = decode_anchors(logits, distributions, grid=[(200, 300, 8.0)], threshold=1e-6)
    assert asked == [MAX_ANCHORS]
    assert len(boxes) == MAX_PER_TILE
    torch.testing.assert_close(boxes[0, 4], torch.tensor(5.0).sigmoid())


@pytest.mark.parametrize("seed", range(20))
def test_of_overlapping_boxes_the_same_stay_as_with_torchvision(seed: int) -> None:
    from torchvision.ops import nms  # type: ignore[import-untyped]

    generator = torch.Generator().manual_seed(seed)
    count = (0, 1, 2, 50, 400)[seed % 5]
    low = torch.rand(count, 2, generator=generator) * 100
    corners = torch.cat([low, low + torch.rand(count, 2, generator=generator) * 60], 1)
    scores = (torch.rand(count, generator=generator) * 20).round() / 20  # many alike
    # Of those with the same score torchvision takes the first, ours the one at the left: here they are the same.
    corners = corners[corners[:, 0].argsort()]
    expected = nms(corners, scores, 0.4)
    torch.testing.assert_close(non_maximum_suppression(corners, scores, iou=0.4, limit=count + 1), expected)
    torch.testing.assert_close(non_maximum_suppression(corners, scores, iou=0.4, limit=3), expected[:3])


@given(
    st.lists(st.tuples(*[st.integers(0, 12)] * 4, st.integers(1, 3)), max_size=25, unique=True),
    st.randoms(use_true_random=False),
    st.integers(1, 30),
)
def test_in_which_order_boxes_come_changes_nothing(
    rows: list[tuple[int, ...]], random: Random, limit: int
) -> None:
    def selected(table: list[tuple[int, ...]]) -> list[list[float]]:
        boxes = torch.tensor(table, dtype=torch.float32).reshape(-1, 5)
        corners = torch.cat([boxes[:, :2], boxes[:, :2] + 1 + boxes[:, 2:4]], 1)
        chosen = non_maximum_suppression(corners, boxes[:, 4], iou=0.3, limit=limit)
        return boxes[chosen].tolist()

    assert selected(random.sample(rows, len(rows))) == selected(rows)
