"""Clicks and boxes share what was embedded before: nothing is encoded twice."""

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mammo.geometry import Box, Point
from mammo.segmenter import EmbeddingCache, Segmenter
from tests.fakes.segmenter_runtime import CountingRuntime

PIXELS = np.random.default_rng(0).uniform(0.1, 1, (400, 400)).astype(np.float32)
BOX = Box(180, 180, 210, 205)
IMAGE = "1" * 64


def segmenter(runtime: CountingRuntime, **more) -> Segmenter:
    return Segmenter(runtime, weights="w" * 64, cache=EmbeddingCache(memory_bytes=2**20, **more))


def click(model: Segmenter, *points: Point, box: Box | None = None, prefer=None, image: str = IMAGE):
    around = box or Box(points[0].x, points[0].y, points[0].x + 1, points[0].y + 1).dilated(10)
    return model.embed_click(
        PIXELS, around, spacing=None, image=image, points=points, drawn=box is not None, prefer=prefer
    )


@given(st.data())
def test_a_click_inside_an_embedded_region_never_encodes(data):
    runtime = CountingRuntime()
    model = segmenter(runtime)
    crop = model.embed(PIXELS, BOX, spacing=None, image=IMAGE).roi.crop
    for _ in range(5):
        x = data.draw(st.integers(crop.x0, crop.x1 - 1))
        y = data.draw(st.integers(crop.y0, crop.y1 - 1))
        embedding = click(model, Point(x, y))
        model.segment(embedding, box=None, points=[Point(x, y)])
    assert runtime.num_encoded == 1
    assert runtime.num_decoded == 5


def test_a_click_elsewhere_encodes_once():
    runtime = CountingRuntime()
    model = segmenter(runtime)
    model.embed(PIXELS, BOX, spacing=None, image=IMAGE)
    for _ in range(3):
        click(model, Point(50, 50))
    assert runtime.num_encoded == 2


def test_a_narrow_drawn_box_is_looked_at_from_near_by_and_a_click_is_not():
    model = segmenter(CountingRuntime())
    speck = Box(190, 190, 196, 195)
    near = click(model, Point(192, 192), box=speck)
    assert near.level == "calcification"
    assert near.roi.pixels_per_logit == 1
    assert not any("guess" in note for note in model.segment(near, box=speck).notes)
    assert click(model, Point(192, 192)).level == "cluster"
    assert click(model, Point(192, 192), box=BOX).level == "cluster"


def test_a_region_that_fell_out_of_memory_is_the_same_region_again():
    runtime = CountingRuntime()
    model = Segmenter(runtime, weights="w", cache=EmbeddingCache(memory_bytes=0))
    first = model.embed(PIXELS, BOX, spacing=None, image=IMAGE)
    assert click(model, Point(190, 190)).roi == first.roi
    assert runtime.num_encoded == 2


def test_the_disk_answers_after_a_restart(tmp_path):
    runtime = CountingRuntime()
    for _ in range(2):
        model = segmenter(runtime, folder=tmp_path, disk_bytes=2**20)
        model.embed(PIXELS, BOX, spacing=None, image=IMAGE)
    assert runtime.num_encoded == 1


def test_a_drawn_box_inside_an_embedded_region_of_its_scale_does_not_encode():
    runtime = CountingRuntime()
    model = segmenter(runtime)
    model.embed(PIXELS, BOX, spacing=None, image=IMAGE)
    click(model, box=Box(190, 186, 215, 208))
    assert runtime.num_encoded == 1
    click(model, box=Box(190, 186, 290, 286))
    assert runtime.num_encoded == 2


def test_a_prelabel_never_depends_on_what_was_asked_before():
    runtime = CountingRuntime()
    model = segmenter(runtime)
    box = Box(195, 186, 220, 208)
    alone = model.embed(PIXELS, box, spacing=None).roi
    model.embed(PIXELS, BOX, spacing=None, image=IMAGE)
    assert model.embed(PIXELS, box, spacing=None, image=IMAGE).roi == alone != click(model, box=BOX).roi


def test_another_image_has_its_own_regions():
    runtime = CountingRuntime()
    model = segmenter(runtime)
    roi = model.embed(PIXELS, BOX, spacing=None, image=IMAGE).roi
    assert click(model, Point(roi.crop.x0, roi.crop.y0), image="2" * 64).roi != roi


def test_the_region_that_is_being_refined_is_kept():
    model = segmenter(CountingRuntime())
    first = model.embed(PIXELS, Box(150, 180, 180, 205), spacing=None, image=IMAGE).roi
    second = model.embed(PIXELS, Box(170, 180, 200, 205), spacing=None, image=IMAGE).roi
    point = Point((first.crop.x0 + second.crop.x1) // 2, 190)
    assert {click(model, point, prefer=roi).roi for roi in (first, second)} == {first, second}


def test_simultaneous_clicks_of_one_region_encode_once():
    gate = threading.Event()
    runtime = CountingRuntime(gate=gate)
    model = segmenter(runtime)
    with ThreadPoolExecutor(6) as pool:
        clicks = [pool.submit(model.embed, PIXELS, BOX, spacing=None, image=IMAGE) for _ in range(6)]
        gate.set()
        embeddings = [one.result(10) for one in clicks]
    assert runtime.num_encoded == 1
    assert len({id(one.features) for one in embeddings}) == 1


def test_a_cache_needs_the_hash_of_the_weights():
    with pytest.raises(ValueError, match="SHA-256"):
        Segmenter(CountingRuntime(), cache=EmbeddingCache(memory_bytes=1))
