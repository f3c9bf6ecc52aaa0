"""DecodingPool: processes that decode compressed images within limits of memory and time.

Processes start with the first compressed image and are reused; there are at most `size`. A process that crashes, hangs
or answers invalidly is killed and replaced, and the image raises an error with a stable code.
"""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import json
import os
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import psutil
import structlog

from mammo.errors import UnreadableImage, UnsupportedImage
from mammo.geometry import Size

PROGRAM = Path(__file__).with_name("decoder_process.py")
ENVIRONMENT = {"OPENBLAS_NUM_THREADS": "1", "LC_ALL": "C.UTF-8"}
"""The whole environment of a decoder process; it does not contain the service's secrets."""

MEMORY = 700 * 2**20
"""Bytes that a process may allocate after its start. JPEG 2000 needs about 16 per pixel."""

SECONDS, SECONDS_PER_MEGAPIXEL = 1.0, 0.07
"""Deadline of a decoding in processor time: fixed part, and part per megapixel. A hung codec is stopped within 2 s, and
a busy machine refuses no image. The slowest codec, JPEG 2000, takes about 0.06 s per megapixel."""

WALL_CLOCK_FACTOR = 8.0
"""Deadline in wall-clock time, as a multiple of the one in processor time: a decoder may wait for a processor."""

WATCH_SECONDS = 0.05
"""Interval at which a deadline is checked."""

SECONDS_TO_START = 60.0
"""Deadline of the start of a process."""

F_SETPIPE_SZ = 1031
"""Linux: set the capacity of a pipe."""

DTYPES = ("|u1", "|i1", "<u2", "<i2", "<u4", "<i4", "<f4", "<f8")
MAX_CHANNELS = 4

MESSAGES = {
    "too_large": "decoding the image exceeds the memory limit",
    "too_slow": "decoding the image exceeds the time limit",
    "decode": "the pixel data are damaged and cannot be decoded",
    "bad_geometry": "the size of the decoded image differs from its header",
    "no_decoder": "the decoder process does not start; repair the installation",
}
"""Message of each error code."""

log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True)
class Encoded:
    """One compressed image whose header has been checked."""

    data: bytes
    size: Size
    syntax: str | None = None
    """UID of a DICOM transfer syntax; None for a PNG, JPEG, TIFF or PGM."""

    plugin: str = ""
    """pydicom's decoding plugin; empty for a plain image."""

    options: Mapping[str, Any] = field(default_factory=dict)
    """Image Pixel attributes, as keyword arguments of pydicom's decoders. Of a plain image: `least_alpha`, for which
    only the set pixels of a mask are returned, as 0 and 1 (H x W, uint8)."""


class DecodingPool:
    """Decodes images for any number of threads, at most `size` at a time."""

    def __init__(
        self,
        *,
        syntaxes: Sequence[str],
        size: int = 2,
        memory: int = MEMORY,
        seconds: float = SECONDS,
        program: Path = PROGRAM,
    ) -> None:
        """
        Args:
            syntaxes: transfer syntaxes whose plugins a process imports before it is ready.
            size: maximum number of processes.
            memory: bytes that a process may allocate after its start.
            seconds: deadline of a small image in processor time; large images get more.
            program: the decoder program.
        """
        self._command = [sys.executable, "-I", str(program), str(memory), *syntaxes]
        self._seconds = seconds
        self._slots = threading.BoundedSemaphore(size)
        self._idle: list[_Process] = []

    def decode(self, image: Encoded) -> npt.NDArray[Any]:
        """Return the decoded pixels, H x W, or H x W x channels for a plain image.

        Raises:
            UnreadableImage: `decode`, `too_large`, `too_slow`, `bad_geometry` or `no_decoder`.
            UnsupportedImage: `transfer_syntax`, a variant that the decoder does not support.
        """
        megapixels = image.size.width * image.size.height / 1e6
        limit = self._seconds + SECONDS_PER_MEGAPIXEL * megapixels
        with self._slots:
            process = self._take()
            try:
                pixels = process.decode(image, seconds=limit)
            except _ProcessFailed as failure:
                process.kill()
                if failure.code != "no_decoder":
                    self._idle.append(_Process(self._command))  # starts in the background
                raise UnreadableImage(MESSAGES[failure.code], code=failure.code) from None
            except BaseException as error:
                if isinstance(error, UnreadableImage):
                    self._idle.append(process)
                else:  # interrupted between request and answer: the next request would receive these pixels
                    process.kill()
                raise
            self._idle.append(process)
            return pixels

    def _take(self) -> _Process:
        """An idle process, or a new one; the semaphore bounds their number."""
        try:
            process = self._idle.pop()
        except IndexError:  # no check beforehand: another thread could take the last process in between
            return _Process(self._command)
        if process.alive:
            return process
        process.kill()
        return _Process(self._command)

    def close(self) -> None:
        """End all idle processes."""
        while self._idle:
            self._idle.pop().kill()

    def detach(self) -> None:
        """Close this process's copies of the pipes after a fork; the decoder processes belong to the parent."""
        for process in self._idle:
            process.close_pipes()
        self._idle.clear()


@cache
def _warn(reason: str) -> None:
    """Log once that decoder processes are not locked."""
    log.warning("decoders of images may open files and sockets", reason=reason)


class _ProcessFailed(Exception):
    """A process that can no longer be used; `code` is the reason, a key of `MESSAGES`."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class _Process:
    """One decoder process and the pipes to it."""

    def __init__(self, command: Sequence[str]) -> None:
        self._process = subprocess.Popen(  # noqa: S603  # our own program by its path
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=ENVIRONMENT,
            cwd="/",
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._requests, self._answers = self._process.stdin, self._process.stdout
        with contextlib.suppress(OSError):  # larger pipes are only faster
            fcntl.fcntl(self._answers, F_SETPIPE_SZ, 2**20)
        self._ready = False

    def decode(self, image: Encoded, *, seconds: float) -> npt.NDArray[Any]:
        """Decode one image within `seconds` of processor time."""
        if not self._ready:
            with self._deadline(SECONDS_TO_START, on_timeout="no_decoder", on_failure="no_decoder"):
                reason = self._receive().get("unlocked")
            if reason is not None:
                _warn(str(reason))
            self._ready = True
        with self._deadline(
            seconds, on_timeout="too_slow", on_failure="decode", wall_clock_factor=WALL_CLOCK_FACTOR
        ):
            text = json.dumps(
                {
                    "syntax": image.syntax,
                    "plugin": image.plugin,
                    "options": dict(image.options),
                    "length": len(image.data),
                }
            ).encode()
            self._requests.write(struct.pack(">L", len(text)) + text)
            self._requests.write(image.data)
            self._requests.flush()
            answer = self._receive()
            code = answer.get("error")
            if code == "transfer_syntax":
                raise UnsupportedImage(
                    "this variant of the compression is not supported; convert the image to an uncompressed format",
                    code="transfer_syntax",
                )
            if code is not None:
                code = code if code in MESSAGES else "decode"
                raise UnreadableImage(MESSAGES[code], code=code)
            return self._pixels(answer, image.size)

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def kill(self) -> None:
        self._process.kill()
        self.close_pipes()
        self._process.wait()

    def close_pipes(self) -> None:
        for pipe in (self._requests, self._answers):
            with contextlib.suppress(OSError):  # unsent bytes cannot be flushed
                pipe.close()

    def _receive(self) -> dict[str, Any]:
        (length,) = struct.unpack(">L", self._read(4))
        if length > 4096:
            raise _ProcessFailed("decode")
        answer = json.loads(self._read(length))
        if not isinstance(answer, dict):
            raise _ProcessFailed("decode")
        return answer

    def _read(self, length: int) -> bytes:
        data = self._answers.read(length)
        if len(data) < length:
            raise _ProcessFailed("decode")
        return data

    def _pixels(self, answer: dict[str, Any], size: Size) -> npt.NDArray[Any]:
        """Read the pixels of an answer; the memory is allocated for the checked size, not for the announced one."""
        shape, dtype = tuple(answer["shape"]), answer["dtype"]
        fits = shape[:2] == (size.height, size.width) and len(shape) in (2, 3)
        if not fits or (len(shape) == 3 and not 1 <= shape[2] <= MAX_CHANNELS) or dtype not in DTYPES:
            raise _ProcessFailed("bad_geometry")
        pixels = np.empty(shape, dtype)
        if answer["length"] != pixels.nbytes:
            raise _ProcessFailed("bad_geometry")
        flat = pixels.reshape(-1).view(np.uint8).data
        offset = 0
        while offset < len(flat):
            num_read = self._answers.readinto(flat[offset:])  # type: ignore[attr-defined]  # a BufferedReader
            if not num_read:
                raise _ProcessFailed("decode")
            offset += num_read
        return pixels

    @contextlib.contextmanager
    def _deadline(
        self, seconds: float, *, on_timeout: str, on_failure: str, wall_clock_factor: float = 1.0
    ) -> Iterator[None]:
        """Kill the process after `seconds` of its processor time, or `wall_clock_factor` times that by the clock.

        Raises:
            _ProcessFailed: with code `on_timeout` after the deadline; with code `on_failure` when the communication
                breaks, unless the block raised a more specific code.
        """
        is_done, has_timed_out = threading.Event(), threading.Event()
        pid = self._process.pid
        started, used = time.monotonic(), _processor_seconds(pid)

        def watch() -> None:
            while not is_done.wait(min(WATCH_SECONDS, seconds)):
                is_late = _processor_seconds(pid) - used >= seconds
                if is_late or time.monotonic() - started >= wall_clock_factor * seconds:
                    has_timed_out.set()
                    self._process.kill()
                    return

        watcher = threading.Thread(target=watch, daemon=True, name="decoder-deadline")
        watcher.start()
        code: str | None = None
        try:
            yield
        except _ProcessFailed as failure:
            code = failure.code if on_failure == "decode" else on_failure
        except (OSError, ValueError, KeyError, TypeError):
            code = on_failure
        finally:
            is_done.set()
            watcher.join()  # it may just have killed the process, even though the answer has arrived
        if has_timed_out.is_set():
            raise _ProcessFailed(on_timeout)
        if code is not None:
            raise _ProcessFailed(code)


def _processor_seconds(pid: int) -> float:
    """Processor time used by a process; 0 once it has ended, which then shows as broken communication."""
    try:
        times = psutil.Process(pid).cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    return float(times.user + times.system)


_pools: dict[int, DecodingPool] = {}
"""At most one entry, created with the first compressed image: the pool of this process, by its process ID."""

_creation = threading.Lock()


def shared_pool(syntaxes: Sequence[str]) -> DecodingPool:
    """Return the pool of this process, created on first use; a forked child gets its own."""
    with _creation:
        pool = _pools.get(os.getpid())
        if pool is None:
            if not _pools:
                atexit.register(_close)
                os.register_at_fork(after_in_child=_after_fork)
            _pools.clear()
            pool = _pools[os.getpid()] = DecodingPool(syntaxes=syntaxes)
        return pool


def _close() -> None:
    pool = _pools.get(os.getpid())
    if pool is not None:
        pool.close()


def _after_fork() -> None:
    global _creation  # noqa: PLW0603  # another thread of the parent may hold it
    _creation = threading.Lock()
    for pool in _pools.values():
        pool.detach()
