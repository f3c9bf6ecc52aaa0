"""The brush RLE: our bytes are the SDK's bytes, and we read whatever the front end writes."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from label_studio_sdk.converter import brush

from mammo.errors import InvalidRegion
from mammo.geometry import Size
from mammo.labelstudio import rle
from mammo.masks import Mask

Pixels = npt.NDArray[np.bool_]

bitmaps = arrays(np.bool_, st.tuples(st.integers(1, 12), st.integers(1, 12)))


def size_of(plane: npt.NDArray[np.generic]) -> Size:
    return Size(plane.shape[1], plane.shape[0])


def set_by_sdk(stream: list[int], size: Size) -> Pixels:
    """H x W, True where the SDK reads an alpha that is at least half opaque."""
    decoded: npt.NDArray[np.uint8] = brush.decode_rle(stream)
    opaque: Pixels = decoded.reshape(size.height, size.width, 4)[:, :, 3] >= rle.OPAQUE
    return opaque


def read_by_us(stream: list[int], size: Size) -> Pixels:
    decoded = rle.decode(stream, size=size)
    return decoded.full(size) > 0 if decoded else np.zeros((size.height, size.width), np.bool_)


@settings(deadline=None)
@given(bitmaps, st.tuples(*[st.integers(0, 9)] * 4))
def test_a_mask_somewhere_in_an_image_is_written_as_the_sdk_writes_the_whole_image(
    bitmap: npt.NDArray[np.bool_], margins: tuple[int, int, int, int]
) -> None:
    left, top, right, bottom = margins
    size = Size(left + bitmap.shape[1] + right, top + bitmap.shape[0] + bottom)
    mask = Mask(bitmap, left, top)
    expected = brush.mask2rle(mask.full(size) * 255)
    assert rle.encode(mask, size=size) == expected
    decoded = rle.decode(expected, size=size)
    assert np.array_equal(decoded.full(size) if decoded else np.zeros_like(mask.full(size)), mask.full(size))


@settings(max_examples=30, deadline=None)
@given(
    st.lists(
        st.tuples(st.booleans(), st.sampled_from([1, 2, 4, 64, 65, 16383, 16384, 16385, 40000])), max_size=8
    )
)
def test_runs_at_the_borders_of_the_length_classes_are_written_as_the_sdk_writes_them(
    runs: list[tuple[bool, int]],
) -> None:
    line = np.concatenate([np.zeros(3, np.bool_), *[np.full(n, v, np.bool_) for v, n in runs]])[None]
    stream = rle.encode(Mask(line, 0, 0), size=size_of(line))
    assert stream == brush.mask2rle(line.astype(np.uint8) * 255)
    assert np.array_equal(read_by_us(stream, size_of(line)), line)


@settings(deadline=None)
@given(arrays(np.uint8, st.tuples(st.integers(1, 7), st.integers(1, 7), st.just(4))))
def test_a_coloured_image_with_literals_is_read_as_the_sdk_reads_it(image: npt.NDArray[np.uint8]) -> None:
    stream = brush.encode_rle(image.reshape(-1))
    size = Size(image.shape[1], image.shape[0])
    assert np.array_equal(read_by_us(stream, size), set_by_sdk(stream, size))


@given(st.data())
def test_any_cut_into_tokens_and_any_sizes_of_lengths_and_values_are_read_as_the_sdk_reads_them(
    data: st.DataObject,
) -> None:
    size = Size(data.draw(st.integers(1, 6)), data.draw(st.integers(1, 6)))
    values = data.draw(
        st.lists(
            st.integers(0, 255), min_size=size.width * size.height * 4, max_size=size.width * size.height * 4
        )
    )
    lengths = data.draw(st.tuples(*[st.integers(1, 16)] * 4))
    word = data.draw(st.sampled_from([8, 9, 17, 32]))
    bits = f"{len(values):032b}" + f"{word - 1:05b}" + "".join(f"{n - 1:04b}" for n in lengths)
    at = 0
    while at < len(values):
        kind = data.draw(st.integers(0, 3))
        count = data.draw(st.integers(1, min(2 ** lengths[kind], len(values) - at)))
        bits += ("1" if data.draw(st.booleans()) else "0") + f"{kind:02b}" + f"{count - 1:0{lengths[kind]}b}"
        is_run = bits[-3 - lengths[kind]] == "1"
        written = values[at : at + (1 if is_run else count)]
        bits += "".join(f"{value:0{word}b}" for value in written)
        at += count
    bits += "0" * (-len(bits) % 8 + 8)
    stream = [int(bits[i : i + 8], 2) for i in range(0, len(bits), 8)]
    assert np.array_equal(read_by_us(stream, size), set_by_sdk(stream, size))


def test_grey_edges_of_a_brush_stroke_are_set_from_half_opaque_on() -> None:
    plane = np.array([[0, 1, 127, 128, 254, 255]], np.uint8)
    mask = rle.decode(brush.mask2rle(plane), size=size_of(plane))
    assert mask is not None
    assert (mask.x0, mask.bitmap.tolist()) == (3, [[True, True, True]])


def test_a_full_field_mask_of_many_strokes_is_read_exactly() -> None:
    size = Size(2560, 3328)
    noise = np.random.default_rng(7).random((600, 900)) < 0.2
    mask = Mask(noise, 900, 1200)
    decoded = rle.decode(rle.encode(mask, size=size), size=size)
    assert decoded is not None
    assert decoded.area == mask.area == decoded.intersection_area(mask)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**21), st.integers(1, 70_000), st.integers(0, 2**21))
def test_long_empty_stretches_are_skipped_wherever_in_a_byte_they_begin(
    before: int, num_set: int, after: int
) -> None:
    line = np.zeros((1, before + num_set + after), np.bool_)
    line[:, before : before + num_set] = True
    stream = rle.encode(Mask(line, 0, 0), size=size_of(line))
    decoded = rle.decode(stream, size=size_of(line))
    assert decoded is not None
    assert (decoded.x0, decoded.bitmap.shape, bool(decoded.bitmap.all())) == (before, (1, num_set), True)


def test_a_legacy_stream_of_six_megabytes_is_refused_before_it_is_looked_at() -> None:
    size = Size(3328, 4096)
    header = rle.encode(None, size=size)[:7]
    with pytest.raises(InvalidRegion, match="list of 8 to 2097152 bytes, got 6000007"):
        rle.decode(header + [255] * 6_000_000, size=size)


@pytest.mark.parametrize("kind", [list, tuple, bytes, lambda stream: np.array(stream, np.uint8)])
def test_a_stream_may_come_as_numbers_or_as_bytes(kind: Any) -> None:
    mask = Mask(np.ones((2, 3), np.bool_), 1, 1)
    assert rle.encode_bytes(mask, size=Size(5, 4)).tolist() == rle.encode(mask, size=Size(5, 4))
    decoded = rle.decode(kind(rle.encode(mask, size=Size(5, 4))), size=Size(5, 4))
    assert decoded is not None
    assert decoded.frame == mask.frame


def test_values_of_more_bits_that_are_no_bytes_are_refused() -> None:
    bits = f"{4:032b}" + f"{8:05b}" + "0010001101111111" + "100" + f"{3:03b}" + f"{300:09b}" + "0" * 8
    stream = [int(bits[i : i + 8].ljust(8, "0"), 2) for i in range(0, len(bits), 8)]
    with pytest.raises(InvalidRegion, match="values up to 255, got 9-bit"):
        rle.decode(stream, size=Size(1, 1))


def test_unset_pixels_around_a_mask_may_lie_outside_the_image() -> None:
    bitmap = np.zeros((4, 4), np.bool_)
    bitmap[1, 1] = True
    inside = Mask(np.ones((1, 1), np.bool_), 0, 0)
    assert rle.encode(Mask(bitmap, -1, -1), size=Size(2, 2)) == rle.encode(inside, size=Size(2, 2))


def test_no_pixel_is_no_mask() -> None:
    assert rle.decode(rle.encode(None, size=Size(5, 4)), size=Size(5, 4)) is None


def test_a_mask_that_reaches_out_of_the_image_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="expected a mask inside"):
        rle.encode(Mask(np.ones((2, 2), np.bool_), 4, 4), size=Size(5, 5))


def test_a_stream_for_another_image_size_is_refused_with_both_sizes() -> None:
    stream = rle.encode(None, size=Size(5, 4))
    with pytest.raises(InvalidRegion, match="100 values for an image of 5 x 5 pixels, got 80"):
        rle.decode(stream, size=Size(5, 5))


@given(bitmaps, st.data())
def test_a_stream_cut_anywhere_is_refused(bitmap: npt.NDArray[np.bool_], data: st.DataObject) -> None:
    stream = rle.encode(Mask(bitmap, 0, 0), size=size_of(bitmap))
    cut = data.draw(st.integers(0, len(stream) - 2))  # the last byte may hold nothing but padding
    with pytest.raises(InvalidRegion):
        rle.decode(stream[:cut], size=size_of(bitmap))


@pytest.mark.parametrize(
    "stream",
    [[], "abc", None, [[0, 1], [2]], [1.5] * 20, [-1] * 20, [256] * 20, ["a"] * 20, {"a": 1}],
    ids=["empty", "text", "nothing", "ragged", "fraction", "negative", "large", "words", "object"],
)
def test_what_is_no_stream_of_bytes_is_refused(stream: object) -> None:
    with pytest.raises(InvalidRegion, match="expected brush RLE as"):
        rle.decode(stream, size=Size(5, 4))  # type: ignore[arg-type]


@given(st.lists(st.integers(0, 255), min_size=8, max_size=60))
def test_garbage_behind_a_right_header_is_refused_or_read_never_a_crash(body: list[int]) -> None:
    size = Size(5, 4)
    stream = rle.encode(None, size=size)[:6] + body
    try:
        pixels = read_by_us(stream, size)
    except InvalidRegion:
        return
    assert pixels.shape == (4, 5)


def test_a_stream_that_promises_a_huge_image_is_refused_before_anything_is_read() -> None:
    with pytest.raises(InvalidRegion, match="larger than any mammogram"):
        rle.decode([255] * 20, size=Size(60000, 60000))
