"""DecodingPool: processes that decode compressed pixels within limits of memory and time.

Started at the first compressed image, at most `size` of them, and kept. A process that crashes, hangs or lies is
killed and replaced; the image gets an error with a stable code, and the service goes on.
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
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import psutil

from mammo.errors import UnreadableImage, UnsupportedImage
from mammo.geometry import Size

PROGRAM = Path(__file__).with_name("decoder_process.py")
ENVIRONMENT = {"OPENBLAS_NUM_THREADS": "1", "LC_ALL": "C.UTF-8"}
"""All that a decoder process knows of ours: the service's secrets stay behind."""

MEMORY = 700 * 2**20
"""Bytes by which a process may grow. JPEG 2000 needs about 16 per pixel."""

SECONDS, SECONDS_PER_MEGAPIXEL = 1.0, 0.07
"""Longest decoding, in seconds of processor time: a hung codec is stopped within 2 s, and a busy machine refuses
nothing. The slowest codec, JPEG 2000, takes about 0.06 s per megapixel."""

PATIENCE = 8.0
"""A decoder that waits for a processor may take so many times as long by the clock."""

WATCH_SECONDS = 0.05
SECONDS_TO_START = 60.0
F_SETPIPE_SZ = 1031
DTYPES = ("|u1", "|i1", "<u2", "<i2", "<u4", "<i4", "<f4", "<f8")
MAX_CHANNELS = 4

MESSAGES = {
    "too_large": "decoding the image takes more memory than is allowed",
    "too_slow": "decoding the image takes longer than is allowed",
    "decode": "the pixel data are damaged and cannot be decoded",
    "bad_geometry": "the decoded image has another size than its header says",
    "no_decoder": "the decoder process does not start: the installation is broken",
}


@dataclass(frozen=True, kw_only=True)
class Encoded:
    """One compressed image, its header checked."""

    data: bytes
    size: Size
    syntax: str | None = None
    """UID of a DICOM transfer syntax; None for a PNG, JPEG, TIFF or PGM."""

    plugin: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Image Pixel attributes, as pydicom's decoders take them."""


class DecodingPool:
    """Decodes from any thread; at most `size` images at a time, the others wait."""

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
            syntaxes: transfer syntaxes whose plugins a process loads before it is ready.
            memory: bytes by which a process may grow.
            seconds: longest decoding of a small image; large ones get more.
        """
        self._command = [sys.executable, "-I", str(program), str(memory), *syntaxes]
        self._seconds = seconds
        self._slots = threading.BoundedSemaphore(size)
        self._idle: list[_Process] = []

    def decode(self, image: Encoded) -> npt.NDArray[Any]:
        """Return H x W (or H x W x channels, for a plain image) as the codec made it.

        Raises:
            UnreadableImage: `decode`, `too_large`, `too_slow`, `bad_geometry` or `no_decoder`.
            UnsupportedImage: `transfer_syntax`, a variant of it that no decoder knows.
        """
        megapixels = image.size.width * image.size.height / 1e6
        limit = self._seconds + SECONDS_PER_MEGAPIXEL * megapixels
        with self._slots:
            process = self._take()
            try:
                pixels = process.decode(image, seconds=limit)
            except _Lost as lost:
                process.kill()
                if lost.code != "no_decoder":
                    self._idle.append(_Process(self._command))  # starts while the caller goes on
                raise UnreadableImage(MESSAGES[lost.code], code=lost.code) from None
            except BaseException as error:
                if isinstance(error, UnreadableImage):
                    self._idle.append(process)
                else:  # interrupted between question and answer: the next would get this one's pixels
                    process.kill()
                raise
            self._idle.append(process)
            return pixels

    def _take(self) -> _Process:
        try:
            process = self._idle.pop()
        except IndexError:  # not asked beforehand: another thread may take the last one in between
            return _Process(self._command)
        if process.alive:
            return process
        process.kill()
        return _Process(self._command)

    def close(self) -> None:
        """End all idle processes."""
        while self._idle:
            self._idle.pop().kill()

    def forget(self) -> None:
        """After a fork: the processes belong to the parent; only drop our copies of their pipes."""
        for process in self._idle:
            process.close_pipes()
        self._idle.clear()


class _Lost(Exception):
    """A process that can no longer be asked; `code` says why."""

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
        self._questions, self._answers = self._process.stdin, self._process.stdout
        with contextlib.suppress(OSError):  # only faster
            fcntl.fcntl(self._answers, F_SETPIPE_SZ, 2**20)
        self._ready = False

    def decode(self, image: Encoded, *, seconds: float) -> npt.NDArray[Any]:
        if not self._ready:
            with self._deadline(SECONDS_TO_START, "no_decoder", otherwise="no_decoder"):
                self._receive()
            self._ready = True
        with self._deadline(seconds, "too_slow", otherwise="decode", patience=PATIENCE):
            text = json.dumps(
                {
                    "syntax": image.syntax,
                    "plugin": image.plugin,
                    "options": dict(image.options),
                    "length": len(image.data),
                }
            ).encode()
            self._questions.write(struct.pack(">L", len(text)) + text)
            self._questions.write(image.data)
            self._questions.flush()
            answer = self._receive()
            code = answer.get("error")
            if code == "transfer_syntax":
                raise UnsupportedImage(
                    "this kind of compressed image cannot be decoded here", code="transfer_syntax"
                )
            if code is not None:
                known = code if code in MESSAGES else "decode"
                raise UnreadableImage(MESSAGES[known], code=known)
            return self._pixels(answer, image.size)

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def kill(self) -> None:
        self._process.kill()
        self.close_pipes()
        self._process.wait()

    def close_pipes(self) -> None:
        for pipe in (self._questions, self._answers):
            with contextlib.suppress(OSError):  # unsent bytes
                pipe.close()

    def _receive(self) -> dict[str, Any]:
        (length,) = struct.unpack(">L", self._read(4))
        if length > 4096:
            raise _Lost("decode")
        answer = json.loads(self._read(length))
        if not isinstance(answer, dict):
            raise _Lost("decode")
        return answer

    def _read(self, length: int) -> bytes:
        found = self._answers.read(length)
        if len(found) < length:
            raise _Lost("decode")
        return found

    def _pixels(self, answer: dict[str, Any], size: Size) -> npt.NDArray[Any]:
        """Read the pixels of an answer into memory of the size that was checked before, not of the size it claims."""
        shape, dtype = tuple(answer["shape"]), answer["dtype"]
        plane = shape[:2] == (size.height, size.width) and len(shape) in (2, 3)
        if not plane or (len(shape) == 3 and not 1 <= shape[2] <= MAX_CHANNELS) or dtype not in DTYPES:
            raise _Lost("bad_geometry")
        pixels = np.empty(shape, dtype)
        if answer["length"] != pixels.nbytes:
            raise _Lost("bad_geometry")
        flat = pixels.reshape(-1).view(np.uint8).data
        at = 0
        while at < len(flat):
            num_read = self._answers.readinto(flat[at:])  # type: ignore[attr-defined]  # a BufferedReader
            if not num_read:
                raise _Lost("decode")
            at += num_read
        return pixels

    @contextlib.contextmanager
    def _deadline(
        self, seconds: float, late: str, *, otherwise: str, patience: float = 1.0
    ) -> Iterator[None]:
        """Kill the process after `seconds` of its processor time, or `patience` times that by the clock.

        A broken conversation becomes `_Lost`.
        """
        answered, passed = threading.Event(), threading.Event()
        pid = self._process.pid
        began, used = time.monotonic(), _processor_seconds(pid)

        def watch() -> None:
            while not answered.wait(min(WATCH_SECONDS, seconds)):
                tired = _processor_seconds(pid) - used >= seconds
                if tired or time.monotonic() - began >= patience * seconds:
                    passed.set()
                    self._process.kill()
                    return

        watcher = threading.Thread(target=watch, daemon=True, name="decoder-deadline")
        watcher.start()
        lost: str | None = None
        try:
            yield
        except _Lost as error:
            lost = error.code if otherwise == "decode" else otherwise
        except (OSError, ValueError, KeyError, TypeError):
            lost = otherwise
        finally:
            answered.set()
            watcher.join()  # when it fired just now, the process is gone even though it has answered
        if passed.is_set():
            raise _Lost(late)
        if lost is not None:
            raise _Lost(lost)


def _processor_seconds(pid: int) -> float:
    """Processor time of a process so far; 0 once it is gone, which the broken conversation will tell."""
    try:
        times = psutil.Process(pid).cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    return float(times.user + times.system)


_pools: dict[int, DecodingPool] = {}
"""At most one entry: the pool of this process, by its pid, made at the first compressed image."""

_making = threading.Lock()


def shared_pool(syntaxes: Sequence[str]) -> DecodingPool:
    """The pool of this process; after a fork the child gets its own."""
    with _making:
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
    global _making  # noqa: PLW0603  # another thread of the parent may have held it
    _making = threading.Lock()
    for pool in _pools.values():
        pool.forget()
