"""The program of one decoder process: it reads compressed pixels from stdin and answers with plain ones.

Codecs are C code that parses hostile bytes, so they run here: without the service's environment, with a ceiling on
memory, unable to write a file, and killed by `decoding_pool` when they take too long. This file imports nothing of
ours, because it is started by its path in Python's isolated mode.

Codecs repair what they can and give pixels all the same: where data are missing they make grey ones up, and say so on
stderr. Such an image is refused, because nobody would notice.

A message is its length (4 bytes, big endian), JSON, and then as many raw bytes as the JSON's `length` says.
"""

from __future__ import annotations

import json
import os
import re
import resource
import struct
import sys
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
"""Lines of a codec that say nothing of the pixels. Checksums guard those of a PNG; gdcm tries all precisions."""

DEBUG = 5
"""OpenCV's level of logging at which it passes on what libtiff says."""


class Complaints:
    """What codecs print, to stdout and to stderr alike."""

    def __init__(self) -> None:
        self._read, write = os.pipe()
        for end in (self._read, write):
            os.set_blocking(end, False)
        for printed in (1, 2):
            os.dup2(write, printed)

    def take(self) -> list[bytes]:
        """The lines since the last call that are not harmless."""
        found = b""
        while True:
            try:
                found += os.read(self._read, 2**16)
            except BlockingIOError:
                return [line for line in found.splitlines() if not HARMLESS.fullmatch(line)]


def main() -> None:
    memory = int(sys.argv[1])
    # The answers go through a descriptor that codecs do not know.
    answers = os.fdopen(os.dup(1), "wb", buffering=0)
    complaints = Complaints()
    cv2.setNumThreads(1)
    cv2.setLogLevel(DEBUG)
    for syntax in sys.argv[2:]:
        get_decoder(UID(syntax))  # imports its plugins
    _limit(memory)
    _send(answers, {"ready": True})
    requests = sys.stdin.buffer
    while header := requests.read(4):
        request: dict[str, Any] = json.loads(requests.read(struct.unpack(">L", header)[0]))
        encoded = requests.read(request["length"])
        complaints.take()
        answer, pixels = _answer(request, encoded)
        if complaints.take() and "error" not in answer:
            answer, pixels = {"error": "decode"}, memoryview(b"")
        _send(answers, answer, pixels)


def _limit(memory: int) -> None:
    """Let the process grow by `memory` bytes and no more, write no file and leave no core dump."""
    pages = int(open("/proc/self/statm", encoding="ascii").read().split()[0])  # noqa: SIM115
    ceiling = pages * resource.getpagesize() + memory
    resource.setrlimit(resource.RLIMIT_AS, (ceiling, ceiling))
    for what in (resource.RLIMIT_CORE, resource.RLIMIT_FSIZE):
        resource.setrlimit(what, (0, 0))


def _answer(request: dict[str, Any], encoded: bytes) -> tuple[dict[str, Any], memoryview]:
    try:
        pixels = _plain(encoded) if request["syntax"] is None else _dicom(request, encoded)
    except MemoryError:
        return {"error": "too_large"}, memoryview(b"")
    except NotImplementedError:
        return {"error": "transfer_syntax"}, memoryview(b"")
    except cv2.error as error:
        no_memory = error.code == cv2.Error.StsNoMem
        return {"error": "too_large" if no_memory else "decode"}, memoryview(b"")
    except Exception:  # every codec raises its own; its text may quote the file
        return {"error": "decode"}, memoryview(b"")
    pixels = np.ascontiguousarray(pixels)
    answer = {"shape": pixels.shape, "dtype": pixels.dtype.str, "length": pixels.nbytes}
    return answer, pixels.reshape(-1).view(np.uint8).data


def _dicom(request: dict[str, Any], frame: bytes) -> npt.NDArray[Any]:
    """Decode one frame of encapsulated pixel data."""
    decoder = get_decoder(UID(request["syntax"]))
    found, _ = decoder.as_array(
        encapsulate([frame]), index=0, decoding_plugin=request["plugin"], **request["options"]
    )
    return found


def _plain(data: bytes) -> npt.NDArray[Any]:
    """Decode a PNG, JPEG, TIFF or PGM."""
    found = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if found is None:
        raise ValueError("damaged")
    return found


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
