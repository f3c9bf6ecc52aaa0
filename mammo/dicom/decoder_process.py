"""Program of a decoder process: reads compressed images from stdin and writes decoded pixels to stdout.

Codecs are C code that parses hostile bytes, so they run in this process: without the service's environment, with a
memory limit, unable to open files and sockets or to start programs, and killed by `decoding_pool` after a deadline.
This file imports no module of this project, because it is started by its path in Python's isolated mode.

A codec fills in missing data with grey pixels and only prints a warning. Such an image is refused.

A message is the length of a JSON document (4 bytes, big endian), the document, and the raw bytes that its `length`
announces.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import resource
import struct
import sys
from pathlib import Path
from typing import Any, BinaryIO

import cv2
import numpy as np
import numpy.typing as npt
from pydicom.encaps import encapsulate
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import UID

HARMLESS = re.compile(
    rb"|libpng warning: .*"
    rb"|\[ ?(INFO|DEBUG).*"
    rb"|OpenCV TIFF: (?!.*IO error)"
    rb".*(Unknown field with tag|\"Orientation\" tag|null byte|ascending order|tags? ignored).*"
    rb"|Unsupported JPEG data precision .*"
)
"""Codec messages that do not concern the pixels. A PNG has checksums; gdcm tries every precision."""

DEBUG = 5
"""OpenCV's log level at which it forwards messages of libtiff."""


class CodecOutput:
    """Captures the messages that codecs print to stdout and stderr."""

    def __init__(self) -> None:
        self._read, write = os.pipe()
        for end in (self._read, write):
            os.set_blocking(end, False)
        for descriptor in (1, 2):
            os.dup2(write, descriptor)

    def take_warnings(self) -> list[bytes]:
        """Return the lines printed since the last call that do not match `HARMLESS`."""
        output = b""
        while True:
            try:
                output += os.read(self._read, 2**16)
            except BlockingIOError:
                return [line for line in output.splitlines() if not HARMLESS.fullmatch(line)]


def main() -> None:
    """Answer requests until stdin is closed; arguments: bytes of memory, then transfer syntaxes to prepare."""
    memory = int(sys.argv[1])
    # A private copy of stdout, so that codecs cannot print into the answers.
    answers = os.fdopen(os.dup(1), "wb", buffering=0)
    output = CodecOutput()
    cv2.setNumThreads(1)
    cv2.setLogLevel(DEBUG)
    for syntax in sys.argv[2:]:
        get_decoder(UID(syntax))  # imports its plugins
    _limit(memory)
    _send(answers, {"ready": True, "unlocked": _lock()})
    requests = sys.stdin.buffer
    while header := requests.read(4):
        request: dict[str, Any] = json.loads(requests.read(struct.unpack(">L", header)[0]))
        encoded = requests.read(request["length"])
        output.take_warnings()
        answer, pixels = _answer(request, encoded)
        if output.take_warnings() and "error" not in answer:
            answer, pixels = {"error": "decode"}, memoryview(b"")
        _send(answers, answer, pixels)


def _limit(memory: int) -> None:
    """Limit further memory to `memory` bytes; forbid files and core dumps."""
    pages = int(open("/proc/self/statm", encoding="ascii").read().split()[0])  # noqa: SIM115
    ceiling = pages * resource.getpagesize() + memory
    resource.setrlimit(resource.RLIMIT_AS, (ceiling, ceiling))
    for limit in (resource.RLIMIT_CORE, resource.RLIMIT_FSIZE):
        resource.setrlimit(limit, (0, 0))


def _lock() -> str | None:
    """Give up the right to open files and sockets; see `decoder_lock.lock`, which is loaded by its path."""
    spec = importlib.util.spec_from_file_location("decoder_lock", Path(__file__).with_name("decoder_lock.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    reason: str | None = module.lock()
    return reason


def _answer(request: dict[str, Any], encoded: bytes) -> tuple[dict[str, Any], memoryview]:
    """Decode one image; return the answer and its pixels, or an error code and no pixels."""
    try:
        pixels = _plain(request, encoded) if request["syntax"] is None else _dicom(request, encoded)
    except MemoryError:
        return {"error": "too_large"}, memoryview(b"")
    except NotImplementedError:
        return {"error": "transfer_syntax"}, memoryview(b"")
    except cv2.error as error:
        no_memory = error.code == cv2.Error.StsNoMem
        return {"error": "too_large" if no_memory else "decode"}, memoryview(b"")
    except Exception:  # codecs have no common exception type, and their messages may quote the file
        return {"error": "decode"}, memoryview(b"")
    pixels = np.ascontiguousarray(pixels)
    answer = {"shape": pixels.shape, "dtype": pixels.dtype.str, "length": pixels.nbytes}
    return answer, pixels.reshape(-1).view(np.uint8).data


def _dicom(request: dict[str, Any], frame: bytes) -> npt.NDArray[Any]:
    """Decode one frame of encapsulated pixel data."""
    decoder = get_decoder(UID(request["syntax"]))
    pixels, _ = decoder.as_array(
        encapsulate([frame]), index=0, decoding_plugin=request["plugin"], **request["options"]
    )
    return pixels


def _plain(request: dict[str, Any], data: bytes) -> npt.NDArray[Any]:
    """Decode a PNG, JPEG, TIFF or PGM; of a mask, return only which pixels are set, as 0 and 1."""
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None:
        raise ValueError("damaged")
    least_alpha = request["options"].get("least_alpha")
    return pixels if least_alpha is None else _set_pixels(pixels, least_alpha)


def _set_pixels(pixels: npt.NDArray[Any], least_alpha: int) -> npt.NDArray[np.uint8]:
    """Return where an image is opaque, or without an alpha channel where it is not black."""
    if pixels.ndim == 2:
        return np.asarray(pixels != 0).view(np.uint8)
    if pixels.shape[2] in (2, 4):
        opaque = pixels[..., -1] >= least_alpha * (np.iinfo(pixels.dtype).max // 255)
        return np.asarray(opaque).view(np.uint8)
    return np.asarray(pixels.any(axis=2)).view(np.uint8)


def _send(answers: BinaryIO, answer: dict[str, Any], pixels: memoryview | None = None) -> None:
    text = json.dumps(answer).encode()
    _write(answers, memoryview(struct.pack(">L", len(text)) + text))
    if pixels is not None:
        _write(answers, pixels)


def _write(answers: BinaryIO, data: memoryview) -> None:
    while data:
        data = data[answers.write(data) :]


if __name__ == "__main__":
    main()
