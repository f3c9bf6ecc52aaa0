"""A decoder process can open neither files nor sockets, and start nothing: what a codec is tricked into stays there."""

from __future__ import annotations

import ctypes
import json
import shutil
import socket
import struct
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import structlog

from mammo.dicom import decoder_lock, decoding_pool
from mammo.dicom.decoder_lock import unlocked
from mammo.dicom.decoding import supported_syntaxes
from mammo.dicom.decoding_pool import ENVIRONMENT, PROGRAM, DecodingPool, Encoded
from mammo.geometry import Size

LOCK = Path(decoder_lock.__file__)
PICTURE = np.arange(40 * 30, dtype=np.uint16).reshape(40, 30)
PNG = Encoded(data=cv2.imencode(".png", PICTURE)[1].tobytes(), size=Size(30, 40))

PROBE = """
import ctypes, json, os, socket, subprocess, sys, threading
__file__ = {program!r}
sys.argv = ["decoder", "700000000"]
source = open({program!r}).read().replace("    while header :=", "    probe(answers)\\n    while header :=", 1)
libc = ctypes.CDLL(None, use_errno=True)
libc.fopen.restype = ctypes.c_void_p
process = os.getpid()

def c_open():
    handle = libc.fopen(b"/etc/passwd", b"r")
    if not handle:
        raise OSError(ctypes.get_errno(), "fopen")

ATTEMPTS = {{
    "read a file": lambda: open("/etc/passwd"),
    "read a file from C": c_open,
    "read our own memory": lambda: open("/proc/self/mem", "rb"),
    "list a folder": lambda: os.listdir("/"),
    "make a file": lambda: open("{folder}/made", "w"),
    "delete a file": lambda: os.unlink("{folder}/there"),
    "change a mode": lambda: os.chmod("{folder}/there", 0o777),
    "connect": lambda: socket.create_connection(("127.0.0.1", {port})),
    "send a datagram": lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x", ("127.0.0.1", {port})),
    "open a local socket": lambda: socket.socket(socket.AF_UNIX),
    "make a pair of sockets": socket.socketpair,
    "run a program": lambda: subprocess.run(["/bin/true"]),
    "become a program": lambda: os.execv("/bin/true", ["true"]),
    "fork": os.fork,
    "signal the parent": lambda: os.kill(os.getppid(), 0),
    "trace the parent": lambda: libc_call(101, 16, os.getppid(), 0, 0),
    "set up io_uring": lambda: libc_call(425, 1, 0),
    "make a namespace": lambda: libc_call(272, 0x10000000),
}}

def libc_call(*numbers):
    if libc.syscall(*numbers) == -1:
        raise OSError(ctypes.get_errno(), "system call")

def probe(answers):
    done = {{}}
    for name, attempt in ATTEMPTS.items():
        try:
            attempt()
            done[name] = "succeeded"
        except BaseException as error:
            done[name] = getattr(error, "errno", None) or repr(error)
        if os.getpid() != process:
            os._exit(0)
    _send(answers, done)

exec(compile(source, {program!r}, "exec"))
"""


@pytest.fixture(scope="module")
def locked() -> None:
    """Skips where nothing can be locked; `doctor` says so there."""
    if (reason := unlocked()) is not None:
        pytest.skip(reason)


def read(answers: object) -> dict[str, object]:
    (length,) = struct.unpack(">L", answers.read(4))  # type: ignore[attr-defined]
    answer: dict[str, object] = json.loads(answers.read(length))  # type: ignore[attr-defined]
    return answer


@pytest.mark.usefixtures("locked")
def test_whatever_a_codec_is_tricked_into_asks_the_kernel_in_vain(tmp_path: Path) -> None:
    (tmp_path / "there").touch(0o600)

    with socket.create_server(("127.0.0.1", 0)) as server:
        program = PROBE.format(program=str(PROGRAM), folder=tmp_path, port=server.getsockname()[1])
        process = subprocess.Popen(
            [sys.executable, "-I", "-c", program],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=ENVIRONMENT,
        )
        assert process.stdout is not None
        assert process.stdin is not None
        assert read(process.stdout) == {"ready": True, "unlocked": None}
        done = read(process.stdout)
        process.stdin.close()
        process.wait(30)
        process.stdout.close()
    assert len(done) == 18
    assert {name: errno for name, errno in done.items() if errno != 1} == {}, "EPERM"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["there"]
    assert (tmp_path / "there").stat().st_mode & 0o777 == 0o600


@pytest.mark.usefixtures("locked")
def test_a_process_says_that_it_is_locked_and_the_kernel_agrees() -> None:
    pool = DecodingPool(syntaxes=supported_syntaxes(), size=1)
    np.testing.assert_array_equal(pool.decode(PNG), PICTURE)
    (process,) = pool._idle
    status = Path(f"/proc/{process._process.pid}/status").read_text()
    pool.close()
    assert "Seccomp:\t2" in status, "filtered"
    assert "NoNewPrivs:\t1" in status


def decoder(folder: Path, old: str, new: str) -> Path:
    """The decoder program, with another lock."""
    (folder / "decoder_lock.py").write_text(LOCK.read_text().replace(old, new))
    assert old in LOCK.read_text()
    return Path(shutil.copy(PROGRAM, folder))


def test_where_nothing_can_be_locked_images_are_decoded_and_the_log_says_so_once(tmp_path: Path) -> None:
    decoding_pool._warn.cache_clear()
    program = decoder(tmp_path, "libseccomp.so.2", "libnone.so.2")
    with structlog.testing.capture_logs() as logged:
        for _ in range(2):
            pool = DecodingPool(syntaxes=[], program=program)
            np.testing.assert_array_equal(pool.decode(PNG), PICTURE)
            pool.close()
    assert [line["reason"] for line in logged] == ["libnone.so.2 is not installed"]
    decoding_pool._warn.cache_clear()


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("libseccomp.so.2", "libnone.so.2", "libnone.so.2 is not installed"),
        ("seccomp.seccomp_load(rules)", "-22", "the kernel accepts no seccomp filter"),
        ("seccomp.seccomp_load(rules)", "0", "the kernel does not apply its seccomp filter"),
        ("lock() or", "undefined or", "a process that locks itself ended with exit code 1"),
    ],
)
def test_why_nothing_can_be_locked_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, old: str, new: str, says: str
) -> None:
    decoder(tmp_path, old, new)
    monkeypatch.setattr(decoder_lock, "__file__", str(tmp_path / "decoder_lock.py"))
    assert unlocked() == says


def test_every_system_call_that_decoding_needs_is_known_to_libseccomp() -> None:
    try:
        seccomp = ctypes.CDLL(decoder_lock.LIBRARY)
    except OSError:
        pytest.skip("libseccomp is not installed")
    numbers = {
        name: seccomp.seccomp_syscall_resolve_name(name.encode()) for name in decoder_lock.SYSTEM_CALLS
    }
    assert [name for name, number in numbers.items() if number == -1] == []
