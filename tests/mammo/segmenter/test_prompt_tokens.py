"""Every kind of prompt, drawn at random: tokens keep SAM's order and frame, masks stay where they may lie."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from mammo.geometry import Box, Point, Size
from mammo.segmenter import Segmenter
from mammo.segmenter.network import BOTTOM_RIGHT, NEGATIVE, PADDING, POSITIVE, TOP_LEFT
from mammo.segmenter.prompt_tokens import prompt_tokens
from mammo.segmenter.roi import dilated, roi_around
from tests.mammo.segmenter.networks import SMALL, small

SIZE = Size(240, 200)
PIXELS = np.random.default_rng(0).uniform(0.1, 1, (200, 240)).astype(np.float32)
BOXES = st.builds(
    lambda x, y, w, h: Box(x, y, x + w, y + h).within(SIZE),
    st.integers(0, 230),
    st.integers(0, 190),
    st.integers(1, 60),
    st.integers(1, 60),
)


@st.composite
def prompts(draw):
    """A box that gives the region, whether it is the prompt too, and points in the region."""
    box = draw(BOXES)
    crop = roi_around(box, SIZE, config=SMALL, spacing=None).crop
    inside = st.builds(Point, st.integers(crop.x0, crop.x1 - 1), st.integers(crop.y0, crop.y1 - 1))
    as_box = draw(st.booleans())
    points = draw(st.lists(inside, min_size=0 if as_box else 1, max_size=5))
    return box, as_box, points, draw(st.lists(inside, max_size=3))


@given(prompts())
def test_tokens_keep_the_order_and_the_frame_of_sam(prompt):
    box, as_box, points, negative = prompt
    roi = roi_around(box, SIZE, config=SMALL, spacing=None)
    coordinates, labels = prompt_tokens(roi, box=box if as_box else None, points=points, negative=negative)
    last = [TOP_LEFT, BOTTOM_RIGHT] if as_box else [PADDING]
    assert labels == [POSITIVE] * len(points) + [NEGATIVE] * len(negative) + last
    assert len(coordinates) == len(labels)
    assert all(0 <= x <= SMALL.input_size and 0 <= y <= SMALL.input_size for x, y in coordinates)
    if as_box:
        (x0, y0), (x1, y1) = coordinates[-2:]
        assert x0 < x1
        assert y0 < y1


@settings(max_examples=25)
@given(prompts(), st.booleans())
def test_every_mask_lies_where_its_prompt_allows(prompt, refine):
    box, as_box, points, negative = prompt
    segmenter = Segmenter(small(combine="hq", presence=True))
    embedding = segmenter.embed(PIXELS, box, spacing=None)
    asked = {"box": box if as_box else None, "points": points, "negative": negative}
    answer = segmenter.segment(embedding, **asked)
    if refine:
        answer = segmenter.segment(embedding, **asked, previous=answer)
    allowed = dilated(box).intersection(embedding.roi.crop) if as_box else embedding.roi.crop
    assert answer.presence is not None
    assert 0 <= answer.presence <= 1
    if answer.mask is not None:
        assert answer.mask.frame.intersection(allowed) == answer.mask.frame


def test_an_earlier_answer_changes_the_next():
    segmenter = Segmenter(small(combine="hq"))
    box = Box(100, 60, 130, 100)
    embedding = segmenter.embed(PIXELS, box, spacing=None)
    first = segmenter.segment(embedding, box=box)
    second = segmenter.segment(embedding, box=box, previous=first)
    assert not np.array_equal(first.logits, second.logits)
