"""Label Studio's brush RLE: a mask as a run-length bit stream over H x W x 4 (RGBA) bytes; alpha is the mask.

    header   32 bit number of values | 5 bit word size - 1 | 4 x 4 bit length size - 1
    token    1 bit run? | 2 bit length class | length - 1 | run ? one value : `length` values       (MSB first)

This is thi.ng's rle-pack. What we write is byte for byte what `label_studio_sdk.converter.brush.mask2rle` writes, in
time that grows with the outline of the mask and not with the mammogram. What we read is anything the SDK reads: grey
edges, coloured RGBA, literal tokens, other sizes of lengths and of values. Nothing is allocated from a number that a
stream states, and a stream that is cut short is refused where the SDK reads past its end.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from mammo.errors import InvalidRegion
from mammo.geometry import Size
from mammo.masks import Mask

MAX_BYTES = 2**21
"""Longest stream that is read: over three times what 1 % salt noise on a full-field mammogram takes. Old front ends
wrote large painted areas as coloured literals, several megabytes each: those are refused before they are looked at."""

MAX_PIXELS = 2**27
"""Largest image a stream may describe: 11,585 pixels square."""

OPAQUE = 128
"""Least alpha of a set pixel: the brush of the front end leaves grey edges of 1 to 254."""

_LENGTH_BITS = (3, 4, 8, 16)
_WORD_BITS = 8
_HEADER_BITS = 53
_SIZES = (_WORD_BITS - 1) << 16 | 2 << 12 | 3 << 8 | 7 << 4 | 15
"""Word and length sizes, each less one, as the header states them."""

_MOST = 2**14
"""Pixels of the longest token: 65536 values."""

_SHORT = 64
"""A run of up to so many pixels takes a short length class; what remains of a run over `_MOST` never does."""

Ints = npt.NDArray[np.int64]
Bytes = npt.NDArray[np.uint8]
Words = npt.NDArray[np.uint64]


def encode(mask: Mask | None, *, size: Size) -> list[int]:
    """Write a mask as the brush RLE of a whole image, set pixels opaque white.

    Args:
        mask: must lie inside the image; None stands for no pixel at all.
        size: of the image.

    Raises:
        ValueError: the mask reaches out of the image.
    """
    return list(encode_bytes(mask, size=size).tobytes())


def encode_bytes(mask: Mask | None, *, size: Size) -> Bytes:
    """As `encode`, as an array of bytes.

    Raises:
        ValueError: the mask reaches out of the image.
    """
    num_pixels = size.width * size.height
    edges = _edges(mask, size=size) if mask else np.zeros(0, np.int64)
    # The image starts unset and changes at every edge, except at one that is its first pixel or its end.
    first = int(edges.size > 0 and edges[0] == 0)
    edges = edges[first : edges.size - int(edges.size > 0 and edges[-1] == num_pixels)]
    lengths = _lengths(edges, num_pixels)
    values = np.zeros(lengths.size, np.uint8)
    values[1 - first :: 2] = 255
    return _pack(lengths, values)


def decode(rle: Sequence[int] | Bytes | bytes, *, size: Size) -> Mask | None:
    """Read the set pixels (alpha of at least `OPAQUE`) as a tight mask; None when there are none.

    Raises:
        InvalidRegion: not a stream of bytes, cut short, too long, or made for another image size.
    """
    starts, ends, values = _alpha_runs(rle, size=size)
    is_set = np.flatnonzero((values >= OPAQUE) & (ends > starts))
    if not is_set.size:
        return None
    starts, ends = starts[is_set], ends[is_set]
    y0, y1 = int(starts[0]) // size.width, int(ends[-1] - 1) // size.width + 1
    rows = starts // size.width
    columns, stops = starts - rows * size.width, ends - rows * size.width
    if int(stops.max()) > size.width:  # a run goes on in the next row
        x0, x1 = 0, size.width
    else:
        x0, x1 = int(columns.min()), int(stops.max())
    at = (rows - y0) * (x1 - x0) + columns - x0
    bitmap = np.zeros((y1 - y0, x1 - x0), np.bool_)
    _fill(bitmap.reshape(-1), at, at + ends - starts)
    return Mask(bitmap, x0, y0)


def _edges(mask: Mask, *, size: Size) -> Ints:
    """Pixel positions, row major over the image, where unset changes to set, set to unset, and so on."""
    height, width = mask.bitmap.shape
    if not (0 <= mask.x0 <= size.width - width and 0 <= mask.y0 <= size.height - height):
        tight = mask.tight()
        if tight is None:
            return np.zeros(0, np.int64)
        if tight.frame.intersection(size.box) != tight.frame:
            raise ValueError(
                f"mask at {tight.frame.as_tuple()} reaches out of {size.width} x {size.height} pixels"
            )
        return _edges(tight, size=size)
    # One unset pixel before the first row; one after each row, unless rows follow each other in the image too.
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
    """Pixels from the begin of the image to the first edge, from edge to edge, and from the last to the end."""
    bounds = np.empty(edges.size + 2, np.int64)
    bounds[0], bounds[1:-1], bounds[-1] = 0, edges, num_pixels
    return bounds[1:] - bounds[:-1]


def _token_table() -> tuple[Ints, Ints]:
    """Tokens of value 0 and their numbers of bits: of runs of 1 to `_MOST` pixels, then of the short remainders."""
    pixels = np.concatenate([np.arange(1, _MOST + 1), np.arange(1, _SHORT + 1)])
    length = 4 * pixels - 1
    kind = np.where(pixels > _SHORT, 3, (length >= 8).astype(np.int64) + (length >= 16))
    kind[_MOST:] = 3
    size = np.array(_LENGTH_BITS, np.int64)[kind]
    return ((4 | kind) << size | length) << _WORD_BITS, 3 + size + _WORD_BITS


_TOKENS, _TOKEN_BITS = _token_table()


def _pack(lengths: Ints, values: Bytes) -> Bytes:
    """Runs of pixels to the bytes of the stream; four values (RGBA) a pixel."""
    before = (lengths - 1) >> 14  # whole tokens of `_MOST` in front of the rest
    rest = lengths - (before << 14) - 1
    rest[(before > 0) & (rest < _SHORT)] += _MOST
    last = np.cumsum(before + 1) - 1
    which = np.full(int(last[-1]) + 1, _MOST - 1, np.int64)
    which[last] = rest
    tokens = _TOKENS[which] | np.repeat(values, before + 1)
    bits = _TOKEN_BITS[which]
    ends = np.cumsum(bits) + _HEADER_BITS
    begins = ends - bits
    # A token lies in one or two 32-bit words. Tokens in a word share no bit, so the exact sum of float64 joins them.
    pair = tokens << (64 - bits - (begins & 31))
    word, num_words = begins >> 5, int(ends[-1]) // 32 + 2
    words = np.bincount(word, (pair >> 32) & 0xFFFFFFFF, num_words)
    words[1:] += np.bincount(word, pair & 0xFFFFFFFF, num_words)[:-1]
    header = (int(lengths.sum()) * 4 << 21 | _SIZES) << 11
    words[:2] += header >> 32, header & 0xFFFFFFFF
    return words.astype(">u4").view(np.uint8)[: int(ends[-1]) // 8 + 1]


def _alpha_runs(rle: Sequence[int] | Bytes | bytes, *, size: Size) -> tuple[Ints, Ints, Bytes]:
    """Half-open pixel runs [start, end) of one alpha value each, covering the image; some may be empty."""
    num_values = size.width * size.height * 4
    if num_values > MAX_PIXELS * 4:
        raise InvalidRegion(f"an image of {size.width} x {size.height} pixels is larger than any mammogram")
    stream = _as_bytes(rle)
    header = int.from_bytes(stream[:8], "big")
    stated, word = header >> 32, (header >> 27 & 31) + 1
    if stated != num_values:
        raise InvalidRegion(
            f"brush RLE of {stated} values does not fit an image of {size.width} x {size.height} pixels "
            f"({num_values} values); was the image replaced after it was annotated?"
        )
    length_bits = [(header >> shift & 15) + 1 for shift in (23, 19, 15, 11)]
    ends, values = _read_tokens(stream, length_bits, word, num_values=num_values)
    pixel_ends = ends // 4  # positions 3, 7, 11 ... hold alpha: as many of them lie before `end`
    starts = np.concatenate([np.zeros(1, np.int64), pixel_ends[:-1]])
    return starts, pixel_ends, values


def _as_bytes(rle: Sequence[int] | Bytes | bytes) -> bytes:
    if not isinstance(rle, list | tuple | np.ndarray | bytes) or not 8 <= len(rle) <= MAX_BYTES:
        length = f", got {len(rle)}" if isinstance(rle, list | tuple | np.ndarray | bytes) else ""
        raise InvalidRegion(f"brush RLE must be a list of 8 to {MAX_BYTES} bytes{length}")
    try:
        if isinstance(rle, np.ndarray) and (rle.ndim != 1 or rle.dtype.kind not in "iu"):
            raise TypeError
        return bytes(rle.tolist() if isinstance(rle, np.ndarray) else rle)
    except (TypeError, ValueError):
        raise InvalidRegion("brush RLE must be a flat list of whole numbers from 0 to 255") from None


def _read_tokens(stream: bytes, length_bits: list[int], word: int, *, num_values: int) -> tuple[Ints, Bytes]:
    """The end position and the value of every run of values; a literal value is a run of one.

    Where a token begins depends on the one before it, so a walk over the bits finds the places; everything else
    is done for all tokens at once.
    """
    places = _token_places(stream, length_bits, word)
    # The 64 bits from every byte on, without copying: a token and its value have 51 at most.
    raw = stream + bytes(8)
    windows: Words = np.ndarray((len(stream) + 1,), np.dtype(">u8"), raw, strides=(1,))

    def bits_at(bits: Ints) -> Words:
        found: Words = windows[bits >> 3].astype(np.uint64) << (bits & 7).astype(np.uint64)
        return found

    window = bits_at(places)
    size = np.array(length_bits, np.uint64)[(window >> np.uint64(61) & np.uint64(3)).astype(np.int64)]
    length = ((window << np.uint64(3)) >> (64 - size)).astype(np.int64) + 1
    is_run = window >> np.uint64(63) == 1
    payload = places + 3 + size.astype(np.int64)
    last = int(np.searchsorted(np.cumsum(length), num_values))
    if (
        last >= places.size
        or int(payload[last]) + word * (1 if is_run[last] else int(length[last])) > len(stream) * 8
    ):
        raise InvalidRegion("brush RLE is cut short: it ends before the image does")
    length, is_run, payload = (a[: last + 1] for a in (length, is_run, payload))
    if not is_run.all():  # a literal token stands for many runs of one
        counts = np.where(is_run, 1, length)
        within = np.arange(int(counts.sum())) - np.repeat(np.cumsum(counts) - counts, counts)
        length = np.repeat(np.where(is_run, length, 1), counts)
        payload = np.repeat(payload, counts) + word * within
    values = bits_at(payload) >> np.uint64(64 - word)
    if word > _WORD_BITS and int(values.max()) > 255:
        raise InvalidRegion(
            f"brush RLE with {word}-bit values over 255; Label Studio writes {_WORD_BITS} bits"
        )
    return np.minimum(np.cumsum(length), num_values), values.astype(np.uint8)


_LONGEST_TOKEN = 3 + _LENGTH_BITS[3] + _WORD_BITS
_EMPTY = [
    (int(("111" + "1" * 16 + "0" * 8) * 9, 2) >> (27 - shift) & (1 << 216) - 1).to_bytes(27, "big")
    for shift in range(8)
]
"""Eight longest runs of value 0, cut out `shift` bits after the begin of one: most of the stream of a small mask."""

_EMPTY_LONG = [block * 16 for block in _EMPTY]


def _token_places(stream: bytes, length_bits: list[int], word: int) -> Ints:
    """Bit positions of all tokens that fit into the stream."""
    bits = np.unpackbits(np.frombuffer(stream, np.uint8))
    heads = bits[:-2] << 2 | bits[1:-1] << 1 | bits[2:]
    # The step from a run token to the next by its three head bits; 0 marks a literal token.
    steps = heads.tobytes().translate(bytes([0] * 4 + [3 + size + word for size in length_bits] + [0] * 248))
    skips = length_bits[3] == _LENGTH_BITS[3] and word == _WORD_BITS
    raw = stream + bytes(8)
    places: list[int] = []
    place, limit = _HEADER_BITS, bits.size - 3 - word - min(length_bits)
    while place <= limit:
        places.append(place)
        step = steps[place]
        if step == _LONGEST_TOKEN and skips:
            byte, next_place = (place + 7) >> 3, place + step
            for blocks, num_bytes in ((_EMPTY_LONG, 27 * 16), (_EMPTY, 27)):
                while raw.startswith(blocks[8 * byte - place], byte):
                    byte, place = byte + num_bytes, place + 8 * num_bytes
            if place >= next_place:
                places.extend(range(next_place, place, step))
            place = max(place, next_place)
        elif step:
            place += step
        else:
            window = int.from_bytes(raw[place >> 3 : (place >> 3) + 5], "big") << (place & 7)
            size = length_bits[window >> 37 & 3]
            place += 3 + size + word * ((window >> (37 - size) & ((1 << size) - 1)) + 1)
    return np.array(places, np.int64)


def _fill(line: npt.NDArray[np.bool_], starts: Ints, ends: Ints) -> None:
    """Set the half-open runs of a flat array."""
    if starts.size < 5000:
        for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
            line[start:end] = True
        return
    edges = np.zeros(line.size + 1, np.int8)
    edges[starts] += 1  # runs do not overlap: no position appears twice among the starts, nor among the ends
    edges[ends] -= 1
    line[:] = np.cumsum(edges[:-1], dtype=np.int8).astype(np.bool_)
