"""Label Studio's brush RLE: a mask as a run-length bit stream over H x W x 4 (RGBA) bytes; alpha is the mask.

    header   32 bit number of values | 5 bit word size - 1 | 4 x 4 bit length size - 1
    token    1 bit run? | 2 bit length class | length - 1 | run ? one value : `length` values       (MSB first)

The format is thi.ng's rle-pack. The encoder writes the same bytes as `label_studio_sdk.converter.brush.mask2rle`, in
time proportional to the outline of the mask rather than to the size of the mammogram. The decoder reads whatever the
SDK reads: grey edges, coloured RGBA, literal tokens, other length and word sizes. It allocates no memory by a number in
the stream, and refuses a truncated stream, where the SDK would read past the end.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from mammo.errors import InvalidRegion
from mammo.geometry import MAX_PIXELS, Size
from mammo.masks import Mask, PixelBudget

MAX_BYTES = 2**21
"""Maximum length of a stream: more than three times that of 1 % salt noise on a full-field mammogram. Old front ends
encoded large painted areas as coloured literals of several megabytes; these streams are refused."""

OPAQUE = 128
"""Least alpha of a set pixel; the front end's brush has grey edges with alpha 1 to 254."""

_LENGTH_BITS = (3, 4, 8, 16)
_WORD_BITS = 8
_HEADER_BITS = 53
_SIZES = (_WORD_BITS - 1) << 16 | 2 << 12 | 3 << 8 | 7 << 4 | 15
"""Word and length sizes in the header, each minus one."""

MAX_BYTES_PER_PIXEL = 32
"""Four tokens, each of the longest words and lengths, have fewer."""

MAX_TOKEN_VALUES = 2**16
MIN_TOKEN_BITS = 3 + 16 + 1
"""Values in the longest token, and its bits: no stream has fewer bits for each value."""

_MAX_RUN = 2**14
"""Pixels in the longest token, which has 65536 values."""

_SHORT = 64
"""Longest run, in pixels, with a short length class. The remainder of a run over `_MAX_RUN` never has one."""

Ints = npt.NDArray[np.int64]
Bytes = npt.NDArray[np.uint8]
Words = npt.NDArray[np.uint64]


def encode(mask: Mask | None, *, size: Size) -> list[int]:
    """Encode a mask as the brush RLE of the whole image; set pixels are opaque white.

    Args:
        mask: inside the image; None for no pixel.
        size: of the image.

    Raises:
        ValueError: the mask extends beyond the image.
    """
    return list(encode_bytes(mask, size=size).tobytes())


def encode_bytes(mask: Mask | None, *, size: Size) -> Bytes:
    """Encode a mask as `encode` does; return a uint8 array.

    Raises:
        ValueError: the mask extends beyond the image.
    """
    num_pixels = size.width * size.height
    edges = _edges(mask, size=size) if mask else np.zeros(0, np.int64)
    # The image starts unset and changes at every edge, except at edges before its first or after its last pixel.
    first = int(edges.size > 0 and edges[0] == 0)
    edges = edges[first : edges.size - int(edges.size > 0 and edges[-1] == num_pixels)]
    lengths = _lengths(edges, num_pixels)
    values = np.zeros(lengths.size, np.uint8)
    values[1 - first :: 2] = 255
    return _pack(lengths, values)


def decode(
    rle: Sequence[int] | Bytes | bytes, *, size: Size, budget: PixelBudget | None = None
) -> Mask | None:
    """Decode the set pixels (alpha of at least `OPAQUE`) as a tight mask; None when no pixel is set.

    Args:
        rle: the stream.
        size: of the image.
        budget: what the pixels of the mask are counted in, before it is made.

    Raises:
        InvalidRegion: the stream is not a sequence of bytes, is truncated or too long, or is of another image size; or
            the budget is spent.
    """
    starts, ends, values = _alpha_runs(rle, size=size, budget=budget)
    is_set = values >= OPAQUE
    return Mask.from_runs(starts[is_set], ends[is_set], size=size, budget=budget)


def _edges(mask: Mask, *, size: Size) -> Ints:
    """Return the row-major pixel positions in the image at which the mask changes between unset and set."""
    height, width = mask.bitmap.shape
    if not (0 <= mask.x0 <= size.width - width and 0 <= mask.y0 <= size.height - height):
        tight = mask.tight()
        if tight is None:
            return np.zeros(0, np.int64)
        if tight.frame.intersection(size.box) != tight.frame:
            raise ValueError(
                f"expected a mask inside {size.width} x {size.height} pixels, got one at {tight.frame.as_tuple()}"
            )
        return _edges(tight, size=size)
    # One unset pixel before the first row, and one after each row unless the rows are as long as the image's.
    gap = int(width < size.width)
    line = np.zeros(height * (width + gap) + 1, np.bool_)
    line[1:].reshape(height, width + gap)[:, :width] = mask.bitmap
    edges = np.flatnonzero(line[1:] != line[:-1])
    if not gap and line[-1]:
        edges = np.append(edges, height * width)
    edges += edges // (width + gap) * (size.width - width - gap)
    edges += mask.y0 * size.width + mask.x0
    return edges


def _lengths(edges: Ints, num_pixels: int) -> Ints:
    """Return the pixels from the start of the image to the first edge, between edges, and from the last to the end."""
    bounds = np.empty(edges.size + 2, np.int64)
    bounds[0], bounds[1:-1], bounds[-1] = 0, edges, num_pixels
    return bounds[1:] - bounds[:-1]


def _token_table() -> tuple[Ints, Ints]:
    """Return tokens of value 0 and their bit lengths: runs of 1 to `_MAX_RUN` pixels, then short remainders."""
    pixels = np.concatenate([np.arange(1, _MAX_RUN + 1), np.arange(1, _SHORT + 1)])
    length = 4 * pixels - 1
    length_class = np.where(pixels > _SHORT, 3, (length >= 8).astype(np.int64) + (length >= 16))
    length_class[_MAX_RUN:] = 3
    size = np.array(_LENGTH_BITS, np.int64)[length_class]
    return ((4 | length_class) << size | length) << _WORD_BITS, 3 + size + _WORD_BITS


_TOKENS, _TOKEN_BITS = _token_table()


def _pack(lengths: Ints, values: Bytes) -> Bytes:
    """Encode runs of pixels, with four equal values (RGBA) per pixel, as the bytes of the stream."""
    num_full = (lengths - 1) >> 14  # Tokens of `_MAX_RUN` pixels in front of the remainder.
    rest = lengths - (num_full << 14) - 1
    rest[(num_full > 0) & (rest < _SHORT)] += _MAX_RUN
    last = np.cumsum(num_full + 1) - 1
    index = np.full(int(last[-1]) + 1, _MAX_RUN - 1, np.int64)
    index[last] = rest
    tokens = _TOKENS[index] | np.repeat(values, num_full + 1)
    bits = _TOKEN_BITS[index]
    ends = np.cumsum(bits) + _HEADER_BITS
    begins = ends - bits
    # A token lies in one or two 32-bit words. Tokens in a word share no bit, so an exact float64 sum combines them.
    pair = tokens << (64 - bits - (begins & 31))
    word, num_words = begins >> 5, int(ends[-1]) // 32 + 2
    words = np.bincount(word, (pair >> 32) & 0xFFFFFFFF, num_words)
    words[1:] += np.bincount(word, pair & 0xFFFFFFFF, num_words)[:-1]
    header = (int(lengths.sum()) * 4 << 21 | _SIZES) << 11
    words[:2] += header >> 32, header & 0xFFFFFFFF
    return words.astype(">u4").view(np.uint8)[: int(ends[-1]) // 8 + 1]


def _alpha_runs(
    rle: Sequence[int] | Bytes | bytes, *, size: Size, budget: PixelBudget | None
) -> tuple[Ints, Ints, Bytes]:
    """Return half-open pixel runs that cover the image, as starts, ends and alpha values; some may be empty."""
    num_values = size.width * size.height * 4
    if size.box.area > MAX_PIXELS:
        raise InvalidRegion(
            f"an image of {size.width} x {size.height} pixels is larger than any mammogram", code="too_large"
        )
    stream = _as_bytes(rle, max_bytes=min(MAX_BYTES, 64 + MAX_BYTES_PER_PIXEL * size.width * size.height))
    if budget is not None:
        budget.spend(8 * len(stream))  # reading a bit takes as long as setting a pixel
    header = int.from_bytes(stream[:8], "big")
    stated, word = header >> 32, (header >> 27 & 31) + 1
    if stated != num_values:
        raise InvalidRegion(
            f"expected brush RLE of {num_values} values for an image of {size.width} x {size.height} pixels, got "
            f"{stated}; was the image replaced after it was annotated?"
        )
    if len(stream) * 8 < _HEADER_BITS + MIN_TOKEN_BITS * (num_values // MAX_TOKEN_VALUES):
        raise InvalidRegion("brush RLE is truncated: it cannot reach the last pixel of the image")
    length_bits = [(header >> shift & 15) + 1 for shift in (23, 19, 15, 11)]
    ends, values = _read_tokens(stream, length_bits, word, num_values=num_values)
    pixel_ends = ends // 4  # Alpha is at positions 3, 7, 11, …; so many of them lie before `end`.
    starts = np.concatenate([np.zeros(1, np.int64), pixel_ends[:-1]])
    return starts, pixel_ends, values


def _as_bytes(rle: Sequence[int] | Bytes | bytes, *, max_bytes: int) -> bytes:
    if not isinstance(rle, list | tuple | np.ndarray | bytes) or not 8 <= len(rle) <= max_bytes:
        length = f", got {len(rle)}" if isinstance(rle, list | tuple | np.ndarray | bytes) else ""
        raise InvalidRegion(f"expected brush RLE as a list of 8 to {max_bytes} bytes{length}")
    try:
        if isinstance(rle, np.ndarray) and (rle.ndim != 1 or rle.dtype.kind not in "iu"):
            raise TypeError
        return bytes(rle.tolist() if isinstance(rle, np.ndarray) else rle)
    except (TypeError, ValueError):
        raise InvalidRegion("expected brush RLE as a flat list of whole numbers from 0 to 255") from None


def _read_tokens(stream: bytes, length_bits: list[int], word: int, *, num_values: int) -> tuple[Ints, Bytes]:
    """Return the end position and the value of every run of values; a literal value is a run of length one.

    The position of a token depends on the token before it, so the positions are found by a sequential scan. All other
    steps are vectorised.

    Args:
        stream: the bytes, including the header.
        length_bits: sizes of the four length classes.
        word: bits per value.
        num_values: of the image.
    """
    positions = _token_positions(stream, length_bits, word)
    # For every byte, the 64 bits that follow, without copying. A token and its value have at most 51 bits.
    raw = stream + bytes(8)
    windows: Words = np.ndarray((len(stream) + 1,), np.dtype(">u8"), raw, strides=(1,))

    def bits_at(bits: Ints) -> Words:
        aligned: Words = windows[bits >> 3].astype(np.uint64) << (bits & 7).astype(np.uint64)
        return aligned

    window = bits_at(positions)
    size = np.array(length_bits, np.uint64)[(window >> np.uint64(61) & np.uint64(3)).astype(np.int64)]
    length = ((window << np.uint64(3)) >> (64 - size)).astype(np.int64) + 1
    is_run = window >> np.uint64(63) == 1
    payload = positions + 3 + size.astype(np.int64)
    last = int(np.searchsorted(np.cumsum(length), num_values))
    if (
        last >= positions.size
        or int(payload[last]) + word * (1 if is_run[last] else int(length[last])) > len(stream) * 8
    ):
        raise InvalidRegion("brush RLE is truncated: it ends before the last pixel of the image")
    length, is_run, payload = (a[: last + 1] for a in (length, is_run, payload))
    if not is_run.all():  # A literal token expands to many runs of length one.
        counts = np.where(is_run, 1, length)
        if int(counts.sum()) > MAX_BYTES:
            raise InvalidRegion(f"expected brush RLE of at most {MAX_BYTES} runs and single values, got more")
        within = np.arange(int(counts.sum())) - np.repeat(np.cumsum(counts) - counts, counts)
        length = np.repeat(np.where(is_run, length, 1), counts)
        payload = np.repeat(payload, counts) + word * within
    values = bits_at(payload) >> np.uint64(64 - word)
    if word > _WORD_BITS and int(values.max()) > 255:
        raise InvalidRegion(
            f"expected brush RLE with values up to 255, got {word}-bit values beyond; Label Studio writes "
            f"{_WORD_BITS} bits"
        )
    return np.minimum(np.cumsum(length), num_values), values.astype(np.uint8)


_LONGEST_TOKEN = 3 + _LENGTH_BITS[3] + _WORD_BITS
_EMPTY = [
    (int(("111" + "1" * 16 + "0" * 8) * 9, 2) >> (27 - shift) & (1 << 216) - 1).to_bytes(27, "big")
    for shift in range(8)
]
"""Eight tokens of the longest run of value 0, as bytes that start `shift` bits after a token's first bit. Most of the
stream of a small mask consists of them."""

_EMPTY_LONG = [block * 16 for block in _EMPTY]


def _token_positions(stream: bytes, length_bits: list[int], word: int) -> Ints:
    """Return the bit positions of all tokens that fit into the stream."""
    bits = np.unpackbits(np.frombuffer(stream, np.uint8))
    heads = bits[:-2] << 2 | bits[1:-1] << 1 | bits[2:]
    # Bits from a run token to the next token, by its three head bits; 0 marks a literal token.
    steps = heads.tobytes().translate(bytes([0] * 4 + [3 + size + word for size in length_bits] + [0] * 248))
    skips_empty = length_bits[3] == _LENGTH_BITS[3] and word == _WORD_BITS
    raw = stream + bytes(8)
    positions: list[int] = []
    position, limit = _HEADER_BITS, bits.size - 3 - word - min(length_bits)
    while position <= limit:
        positions.append(position)
        step = steps[position]
        if step == _LONGEST_TOKEN and skips_empty:
            byte, following = (position + 7) >> 3, position + step
            for blocks, num_bytes in ((_EMPTY_LONG, 27 * 16), (_EMPTY, 27)):
                while raw.startswith(blocks[8 * byte - position], byte):
                    byte, position = byte + num_bytes, position + 8 * num_bytes
            if position >= following:
                positions.extend(range(following, position, step))
            position = max(position, following)
        elif step:
            position += step
        else:
            window = int.from_bytes(raw[position >> 3 : (position >> 3) + 5], "big") << (position & 7)
            size = length_bits[window >> 37 & 3]
            position += 3 + size + word * ((window >> (37 - size) & ((1 << size) - 1)) + 1)
    return np.array(positions, np.int64)
