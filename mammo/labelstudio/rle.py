"""Label Studio's brush RLE: a mask as a run-length bit stream over H x W x 4 (RGBA) bytes; alpha is the mask.

    header   32 bit number of values | 5 bit word size - 1 | 4 x 4 bit length size - 1
    token    1 bit run? | 2 bit length class | length - 1 | run ? one value : `length` values       (MSB first)

This is thi.ng's rle-pack. What we write is byte for byte what `label_studio_sdk.converter.brush.mask2rle` writes, in
time that grows with the outline of the mask and not with the mammogram. What we read is anything the front end writes:
grey edges, coloured RGBA, literal tokens, other length sizes. Nothing is allocated from a number that a stream states.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from mammo.errors import InvalidRegion
from mammo.geometry import Size
from mammo.masks import Mask

MAX_BYTES = 2**23
"""Longest stream that is read: over ten times what 1 % salt noise on a full-field mammogram takes."""

MAX_PIXELS = 2**27
"""Largest image a stream may describe: 11,585 pixels square."""

OPAQUE = 128
"""Least alpha of a set pixel: the brush of the front end leaves grey edges of 1 to 254."""

_LENGTH_BITS = (3, 4, 8, 16)
_HEADER_BITS = 53
_WORD_BITS = 8

Ints = npt.NDArray[np.int64]
Bytes = npt.NDArray[np.uint8]


def encode(mask: Mask | None, *, size: Size) -> list[int]:
    """Write a mask as the brush RLE of a whole image, set pixels opaque white.

    Args:
        mask: must lie inside the image; None stands for no pixel at all.
        size: of the image.

    Raises:
        ValueError: the mask reaches out of the image.
    """
    tight = mask.tight() if mask else None
    if tight is None:
        return _pack(np.zeros(1, np.int64), np.zeros(1, np.uint8), num_pixels=size.width * size.height)
    if tight.frame.intersection(size.box) != tight.frame:
        raise ValueError(
            f"mask at {tight.frame.as_tuple()} reaches out of {size.width} x {size.height} pixels"
        )
    starts, values = _mask_runs(tight, size=size)
    return _pack(starts, values, num_pixels=size.width * size.height)


def encode_plane(plane: Bytes) -> list[int]:
    """Write a full H x W uint8 plane, its values repeated in all four channels: `mask2rle` for any grey value."""
    flat = np.ascontiguousarray(plane, np.uint8).reshape(-1)
    if not flat.size:
        raise ValueError("an empty plane has no RLE")
    starts = np.concatenate([np.zeros(1, np.int64), np.flatnonzero(flat[1:] != flat[:-1]) + 1])
    return _pack(starts, flat[starts], num_pixels=flat.size)


def decode(rle: Sequence[int], *, size: Size) -> Mask | None:
    """Read the set pixels (alpha of at least `OPAQUE`) as a tight mask; None when there are none.

    Raises:
        InvalidRegion: not a stream of bytes, cut short, too long, or made for another image size.
    """
    starts, ends, values = _alpha_runs(rle, size=size)
    set_runs = np.flatnonzero((values >= OPAQUE) & (ends > starts))
    if not set_runs.size:
        return None
    starts, ends = starts[set_runs], ends[set_runs]
    first_row, last_row = int(starts[0]) // size.width, int(ends[-1] - 1) // size.width
    offset = first_row * size.width
    rows = np.zeros((last_row - first_row + 1) * size.width, np.bool_)
    _fill(rows, starts - offset, ends - offset)
    band = rows.reshape(-1, size.width)
    return Mask(band, 0, first_row).tight()


def decode_plane(rle: Sequence[int], *, size: Size) -> Bytes:
    """Read the alpha channel as it is: H x W uint8.

    Raises:
        InvalidRegion: as `decode`.
    """
    starts, ends, values = _alpha_runs(rle, size=size)
    return np.repeat(values, ends - starts).reshape(size.height, size.width)


def _mask_runs(tight: Mask, *, size: Size) -> tuple[Ints, Bytes]:
    """Pixel positions (row major over the image) where the value changes, and the value from there on."""
    height, width = tight.bitmap.shape
    # One unset pixel before the first row and after each row: every row then starts and ends with a change.
    padded = np.zeros(height * (width + 1) + 1, np.bool_)
    padded[1:].reshape(height, width + 1)[:, :width] = tight.bitmap
    changes = np.flatnonzero(padded[1:] != padded[:-1])
    values = padded[changes + 1]
    row, column = np.divmod(changes, width + 1)
    starts = (row + tight.y0) * size.width + column + tight.x0
    # A mask as wide as the image: a row's end and the next row's start fall on one pixel and cancel each other.
    cancelled = np.flatnonzero(starts[1:] == starts[:-1])
    keep = np.ones(starts.size, np.bool_)
    keep[cancelled] = keep[cancelled + 1] = False
    keep &= starts < size.width * size.height
    starts, values = starts[keep], values[keep]
    if starts[0] != 0:
        starts, values = np.insert(starts, 0, 0), np.insert(values, 0, False)
    return starts.astype(np.int64), np.where(values, 255, 0).astype(np.uint8)


def _pack(starts: Ints, values: Bytes, *, num_pixels: int) -> list[int]:
    """Runs of pixels to the bytes of the stream; four values (RGBA) a pixel."""
    lengths = np.diff(starts, append=num_pixels) * 4
    extra = (lengths - 1) >> 16  # whole runs of 65536 in front of the rest
    longest = np.repeat(lengths > 256, extra + 1)
    short = np.full(longest.size, 0xFFFF, np.int64)
    short[np.cumsum(extra + 1) - 1] = lengths - (extra << 16) - 1
    kind = np.where(longest, 3, (short >= 8).astype(np.int64) + (short >= 16))
    size = np.array(_LENGTH_BITS, np.int64)[kind]
    tokens = (((4 | kind) << size | short) << 8) | np.repeat(values, extra + 1)
    bits = size + 11
    ends = np.cumsum(bits) + _HEADER_BITS
    begins = ends - bits
    sizes = sum((b - 1) << shift for b, shift in zip(_LENGTH_BITS, (12, 8, 4, 0), strict=True))
    header = (num_pixels * 4) << 21 | (_WORD_BITS - 1) << 16 | sizes
    stream: Bytes = np.zeros(int(ends[-1]) // 8 + 9, np.uint8)
    stream[:8] = np.frombuffer((header << 11).to_bytes(8, "big"), np.uint8)
    window = tokens << (40 - bits - (begins & 7))
    byte = begins >> 3
    for place in range(5):
        # A token has 14 bits or more, so for one `place` no two tokens meet in a byte and |= is exact.
        stream[byte + place] |= (window >> (32 - 8 * place)).astype(np.uint8)
    packed: list[int] = stream[: int(ends[-1]) // 8 + 1].tolist()
    return packed


def _alpha_runs(rle: Sequence[int], *, size: Size) -> tuple[Ints, Ints, Bytes]:
    """Half-open pixel runs [start, end) of one alpha value each, covering the image; some may be empty."""
    num_values = size.width * size.height * 4
    if num_values > MAX_PIXELS * 4:
        raise InvalidRegion(f"an image of {size.width} x {size.height} pixels is larger than any mammogram")
    stream = _as_bytes(rle)
    header = int.from_bytes(stream[:8].tobytes(), "big")
    stated, word = header >> 32, (header >> 27 & 31) + 1
    if word != _WORD_BITS:
        raise InvalidRegion(f"brush RLE with {word}-bit values; Label Studio writes {_WORD_BITS}")
    if stated != num_values:
        raise InvalidRegion(
            f"brush RLE of {stated} values does not fit an image of {size.width} x {size.height} pixels "
            f"({num_values} values); was the image replaced after it was annotated?"
        )
    length_bits = [(header >> shift & 15) + 1 for shift in (23, 19, 15, 11)]
    ends, values = _read_tokens(stream, length_bits, num_values=num_values)
    pixel_ends = ends // 4  # positions 3, 7, 11 ... hold alpha: as many of them lie before `end`
    starts = np.concatenate([np.zeros(1, np.int64), pixel_ends[:-1]])
    return starts, pixel_ends, values


def _as_bytes(rle: Sequence[int]) -> Bytes:
    if not isinstance(rle, list | tuple | np.ndarray) or not 8 <= len(rle) <= MAX_BYTES:
        raise InvalidRegion(f"brush RLE must be a list of 8 to {MAX_BYTES} bytes")
    try:
        stream = np.asarray(rle)
    except ValueError:
        raise InvalidRegion("brush RLE must be a flat list of whole numbers") from None
    if stream.ndim != 1 or stream.dtype.kind not in "iu" or stream.min() < 0 or stream.max() > 255:
        raise InvalidRegion("brush RLE must be a flat list of whole numbers from 0 to 255")
    return stream.astype(np.uint8)


def _read_tokens(stream: Bytes, length_bits: list[int], *, num_values: int) -> tuple[Ints, Bytes]:
    """The end position and the value of every run of values; a literal value is a run of one.

    Where a token begins depends on the one before it, so a walk over the bits finds the places; everything else
    is done for all tokens at once.
    """
    places = _token_places(stream, length_bits)
    padded = np.concatenate([stream, np.zeros(8, np.uint8)])
    window: Ints = np.zeros(places.size, np.int64)
    for offset in range(5):
        window = window << 8 | padded[(places >> 3) + offset]
    window = window << (places & 7) & 0xFFFFFFFFFF
    size = np.array(length_bits, np.int64)[window >> 37 & 3]
    length = (window >> (37 - size) & ((1 << size) - 1)) + 1
    is_run = window >> 39 == 1
    last = int(np.searchsorted(np.cumsum(length), num_values))
    if last < places.size:
        payload = 8 if is_run[last] else 8 * int(length[last])
    if last >= places.size or int(places[last] + 3 + size[last]) + payload > stream.size * 8:
        raise InvalidRegion("brush RLE is cut short: it ends before the image does")
    places, window, size, length, is_run = (a[: last + 1] for a in (places, window, size, length, is_run))
    counts = np.where(is_run, 1, length)  # a literal token stands for many runs of one
    firsts = np.cumsum(counts) - counts
    lengths = np.ones(int(counts.sum()), np.int64)
    values = np.empty(lengths.size, np.uint8)
    lengths[firsts[is_run]] = length[is_run]
    values[firsts[is_run]] = (window[is_run] >> (29 - size[is_run])).astype(np.uint8)
    for literal in np.flatnonzero(~is_run):
        begin, count = int(places[literal] + 3 + size[literal]), int(length[literal])
        words = padded[begin >> 3 : (begin >> 3) + count + 1].astype(np.uint16)
        shifted = (words[:-1] << 8 | words[1:]) >> (8 - (begin & 7))
        values[firsts[literal] : firsts[literal] + count] = shifted.astype(np.uint8)
    return np.minimum(np.cumsum(lengths), num_values), values


def _token_places(stream: Bytes, length_bits: list[int]) -> Ints:
    """Bit positions of all tokens that fit into the stream."""
    bits = np.unpackbits(stream)
    heads = bits[:-2] << 2 | bits[1:-1] << 1 | bits[2:]
    # The step from a run token to the next by its three head bits; 0 marks a literal token.
    steps = heads.tobytes().translate(bytes([0] * 4 + [11 + size for size in length_bits] + [0] * 248))
    raw = stream.tobytes() + bytes(8)
    places: list[int] = []
    place, limit = _HEADER_BITS, bits.size - 11 - min(length_bits)
    while place <= limit:
        places.append(place)
        step = steps[place]
        if step:
            place += step
        else:
            window = int.from_bytes(raw[place >> 3 : (place >> 3) + 5], "big") << (place & 7)
            size = length_bits[window >> 37 & 3]
            place += 3 + size + 8 * ((window >> (37 - size) & ((1 << size) - 1)) + 1)
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
