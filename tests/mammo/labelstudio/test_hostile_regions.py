"""What a region costs is bounded by its image, and what an annotation costs is bounded whatever it holds."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

from mammo.errors import InvalidRegion
from mammo.geometry import MAX_PIXELS, Size
from mammo.labelstudio import ControlTags, rle
from mammo.labelstudio.brush_parts import MAX_FINDINGS
from mammo.labelstudio.interpretation import MAX_REGIONS, interpret, interpret_images
from mammo.labelstudio.regions import MAX_POINTS, mask_of
from mammo.masks import Mask, PixelBudget
from mammo.masks.budget import MAX_DECODED
from tests.mammo.labelstudio.bombs import drawn, full_stroke, opaque_png, outlined, painted
from tests.mammo.labelstudio.drawn import rectangle, region

TAGS = ControlTags()
IMAGE, BOMB = Size(500, 700), Size(11584, 11584)
LARGEST = Size(8192, 8192)


@contextmanager
def at_most(num_bytes: int) -> Iterator[None]:
    """The memory that numpy and Python allocate within stays below this."""
    tracemalloc.start()
    try:
        yield
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < num_bytes, f"{peak / 2**20:.0f} MiB"


def code_of(result: list[dict[str, Any]], **options: Any) -> str:
    with pytest.raises(InvalidRegion) as refused:
        interpret(result, tags=TAGS, **options)
    return refused.value.code


def test_a_stroke_that_states_another_size_than_the_image_is_refused_before_it_is_decoded() -> None:
    for size in (BOMB, LARGEST, Size(4000, 6000), Size(501, 700), Size(700, 500)):
        bomb = painted(size)
        with at_most(2**20):
            code = code_of([bomb], size=IMAGE)
        assert code == ("too_large" if size == BOMB else "other_size")


@pytest.mark.parametrize(
    "size", [BOMB, Size(20_001, 1), Size(2**31, 2**31), Size(2**80, 2**80), Size(1, 2**26)]
)
def test_a_size_that_no_image_has_is_refused(size: Size) -> None:
    assert code_of([painted(size, [0] * 100)]) == "too_large"


@pytest.mark.parametrize("stated", [0, -5, True, 500.0, "500", None, [500], float("nan")])
def test_a_size_that_is_none_is_refused(stated: object) -> None:
    assert code_of([painted(IMAGE, original_width=stated)]) == "invalid_region"


def test_a_stream_that_states_another_number_than_its_image_is_refused_before_it_is_decoded() -> None:
    stream = full_stroke(LARGEST)
    with at_most(2**21):
        assert code_of([painted(IMAGE, stream)]) == "invalid_region"


def test_a_stream_that_cannot_cover_its_image_is_refused_before_its_tokens_are_read() -> None:
    stream = full_stroke(LARGEST)
    for cut in (12, 1000, len(stream) - 4):
        with at_most(2**21), pytest.raises(InvalidRegion, match="truncated"):
            rle.decode(stream[:cut], size=LARGEST)


def test_a_stream_with_more_bytes_than_its_pixels_need_is_refused() -> None:
    stream = rle.encode(None, size=Size(10, 10))
    assert rle.decode(stream + [0] * 1000, size=Size(10, 10)) is None
    with pytest.raises(InvalidRegion, match="list of 8 to"):
        rle.decode(stream + [0] * 5000, size=Size(10, 10))


def test_reading_a_stroke_takes_a_few_bytes_of_memory_a_pixel() -> None:
    size = Size(2300, 2300)
    bomb = painted(size)
    with at_most(6 * size.box.area):
        (finding,) = interpret([bomb], tags=TAGS, size=size).findings
    assert finding.box == size.box


@pytest.mark.slow
def test_the_largest_stroke_on_an_unknown_image_takes_less_than_400_mib() -> None:
    bomb = painted(LARGEST)
    with at_most(400 * 2**20):
        (finding,) = interpret([bomb], tags=TAGS).findings
    assert finding.mask is not None
    assert finding.mask.area == MAX_PIXELS


def test_many_strokes_are_not_read_one_after_the_other() -> None:
    size = Size(4096, 4096)
    bombs = [painted(size, id=f"b{number}") for number in range(300)]
    with at_most(MAX_DECODED + 100 * 2**20):
        assert code_of(bombs, size=size) == "too_many_pixels"


def test_the_images_of_a_task_share_one_budget() -> None:
    tags = ControlTags.read(
        '<View><Image name="image" valueList="$pages"/><BrushLabels name="mask" toName="image">'
        '<Label value="Cluster"/></BrushLabels></View>'
    )
    size = Size(4096, 4096)
    pages = [f"/{number}.png" for number in range(200)]
    bombs = [painted(size, item_index=number, id=f"b{number}") for number in range(200)]
    with pytest.raises(InvalidRegion) as refused:
        list(interpret_images(bombs, tags=tags, data={"pages": pages}, sizes={}))
    assert refused.value.code == "too_many_pixels"


def zigzag(num_points: int) -> list[list[float]]:
    return [[100 * (number % 7) / 7, 100.0 * (number % 2)] for number in range(num_points)]


@pytest.mark.parametrize(
    "points",
    [
        [[1.0, 1.0]] * 1_000_000,
        [[0, 0], [50, 0], [float("nan"), 50]],
        [[0, 0], [50, 0], [float("inf"), 50]],
        [[0, 0], [50, 0], [10**400, 50]],
        [[0, 0], [50, 0], [-1e7, 50]],
        [[0, 0], [50, 0], [True, 50]],
        [[0, 0], [50, 0], [50]],
        [[0, 0], [50, 0], {"x": 50}],
        {"0": [0, 0]},
        "0 0 1 1",
        None,
    ],
)  # fmt: skip
def test_points_that_are_none_or_too_many_are_refused(points: Any) -> None:
    with at_most(2**22):
        assert code_of([outlined(points, IMAGE)], size=IMAGE) == "invalid_region"


@pytest.mark.parametrize("key", ["x", "y", "width", "height", "rotation"])
@pytest.mark.parametrize("number", [float("nan"), float("inf"), -1e300, 10**400, "5", None, [5], True])
def test_a_coordinate_that_is_no_number_in_range_is_refused(key: str, number: object) -> None:
    drawn_box = rectangle()
    drawn_box["value"][key] = number
    assert code_of([drawn_box]) == "invalid_region"


def test_outlines_that_cross_all_rows_again_and_again_are_refused() -> None:
    assert code_of([outlined(zigzag(MAX_POINTS), LARGEST)]) in ("invalid_region", "too_many_pixels")
    narrow = [outlined(zigzag(500), Size(16, 20_000), id=f"p{number}") for number in range(30)]
    assert code_of(narrow) == "too_many_pixels"


def test_an_outline_around_the_whole_image_is_read() -> None:
    size = Size(1000, 2000)
    (finding,) = interpret([outlined([[0, 0], [100, 0], [100, 100], [0, 100]], size)], tags=TAGS).findings
    assert finding.box == size.box


def test_a_bitmask_costs_its_image_whether_or_not_a_pixel_is_set() -> None:
    size = Size(600, 400)
    mask = {"original_width": size.width, "original_height": size.height}
    drawn_mask = region("bitmask", "bits", {"imageDataURL": opaque_png(size)}, **mask)
    whole = mask_of(drawn_mask)
    assert whole is not None
    assert whole.area == size.box.area
    budget = PixelBudget(remaining=2 * size.box.area)
    for _ in range(2):
        mask_of(drawn_mask, budget=budget)
    with pytest.raises(InvalidRegion) as refused:
        mask_of(drawn_mask, budget=budget)
    assert refused.value.code == "too_many_pixels"


def test_noise_is_refused() -> None:
    salt = np.random.default_rng(0).random((1000, 1000)) < 0.05
    assert code_of([drawn(salt)]) == "noise"
    comb = np.zeros((3000, 3000), np.bool_)
    comb[::2], comb[:, 0] = True, True
    assert code_of([drawn(comb)]) == "too_many_pixels"


def test_parts_that_enclose_each_other_are_refused_before_each_is_cut_out() -> None:
    nested = np.zeros((4000, 4000), np.bool_)
    for number in range(0, 400, 4):
        nested[number, number:], nested[number:, number] = True, True
    with at_most(250 * 2**20):
        assert code_of([drawn(nested)]) == "noise"


def test_more_findings_than_a_person_means_are_refused() -> None:
    dots = np.zeros((1000, 1000), np.bool_)
    for row in range(10, 1000, 20):
        for column in range(10, 1000, 20):
            dots[row : row + 12, column : column + 12] = True
    assert code_of([drawn(dots)]) == "too_many_findings"
    boxes = [rectangle(id=f"r{number}") for number in range(MAX_FINDINGS + 1)]
    assert code_of(boxes) == "too_many_findings"
    boxes = [rectangle(id=f"r{number}") for number in range(MAX_REGIONS + 1)]
    assert code_of(boxes) == "too_many_findings"


def test_a_stroke_across_many_rectangles_is_refused_before_it_is_divided() -> None:
    size = Size(2000, 2000)
    stated = {"original_width": size.width, "original_height": size.height}
    boxes = [rectangle(id=f"r{number}") | stated for number in range(100)]
    with at_most(100 * 2**20):
        assert code_of([painted(size), *boxes]) == "too_many_pixels"


def test_components_of_a_large_bitmap_are_those_of_its_quarters() -> None:
    bitmap = np.zeros((2300, 2300), np.bool_)
    bitmap[10:20, 10:30] = bitmap[2000:2290, 2000:2003] = bitmap[1000:1004, :] = True
    parts = Mask(bitmap, 5, 7).components()
    assert [(part.frame.as_tuple(), part.area) for part in parts] == [
        ((5, 1007, 2305, 1011), 9200),
        ((2005, 2007, 2008, 2297), 870),
        ((15, 17, 35, 27), 200),
    ]


def test_components_of_a_large_ragged_bitmap_need_long_labels() -> None:
    bitmap = np.zeros((2400, 2400), np.bool_)
    bitmap[::8, ::8] = True
    assert len(Mask(bitmap, 0, 0).components()) == 300 * 300
