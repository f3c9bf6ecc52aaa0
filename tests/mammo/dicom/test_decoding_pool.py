"""The pool, with decoder programs that misbehave on purpose."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path

import cv2
import numpy as np
import psutil
import pytest

from mammo.dicom.decoding import supported_syntaxes
from mammo.dicom.decoding_pool import DecodingPool, Encoded, shared_pool
from mammo.errors import UnreadableImage, UnsupportedImage
from mammo.geometry import Size

PICTURE = np.arange(40 * 30, dtype=np.uint16).reshape(40, 30)
PNG = Encoded(data=cv2.imencode(".png", PICTURE)[1].tobytes(), size=Size(30, 40))

PROGRAM = """
import json, os, resource, struct, sys, time
out, questions = sys.stdout.buffer, sys.stdin.buffer
def send(answer, data=b""):
    text = json.dumps(answer).encode()
    out.write(struct.pack(">L", len(text)) + text + data)
    out.flush()
send({{"ready": True}})
while header := questions.read(4):
    request = json.loads(questions.read(struct.unpack(">L", header)[0]))
    data = questions.read(request["length"])
    {misbehaviour}
"""
GOOD = 'send({"shape": [40, 30], "dtype": "<u2", "length": 2400}, bytes(2400))'


def pool(folder: Path, misbehaviour: str, **options: float) -> DecodingPool:
    program = folder / "program.py"
    program.write_text(PROGRAM.format(misbehaviour=misbehaviour))
    return DecodingPool(syntaxes=[], program=program, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("misbehaviour", "code"),
    [
        ("os.abort()", "decode"),
        ("sys.exit(0)", "decode"),
        ("time.sleep(600)", "too_slow"),
        ("sum(0 for _ in iter(int, 1))", "too_slow"),  # busy for ever
        ("out.write(b'x'); out.flush(); time.sleep(600)", "too_slow"),
        ("out.write(b'\\xff' * 100); out.flush()", "decode"),
        ('send({"shape": [40, 30], "dtype": "<u2", "length": 2400}, bytes(100)); sys.exit()', "decode"),
        ('send({"shape": [40, 31], "dtype": "<u2", "length": 2480}, bytes(2480))', "bad_geometry"),
        ('send({"shape": [40, 30, 9999999], "dtype": "<u2", "length": 9}, bytes(9))', "bad_geometry"),
        ('send({"shape": [40, 30], "dtype": "O", "length": 9600}, bytes(9600))', "bad_geometry"),
        ('send({"shape": [40, 30], "dtype": "<u2", "length": 1}, bytes(1))', "bad_geometry"),
        ('send({"shape": None})', "decode"),
        ("send([1, 2])", "decode"),
        ('send({"error": "something new"})', "decode"),
        ('send({"error": "too_large"})', "too_large"),
    ],
)
def test_a_decoder_that_crashes_hangs_or_lies_is_a_stable_code_and_the_next_image_is_read(
    tmp_path: Path, misbehaviour: str, code: str
) -> None:
    once = f"flag = {str(tmp_path / 'done')!r}\n    first = not os.path.exists(flag)\n    open(flag, 'w').close()\n"
    once += f"    if first: {misbehaviour}\n    else: {GOOD}"
    decoders = pool(tmp_path, once, seconds=0.5 if code == "too_slow" else 30, size=1)
    try:
        with pytest.raises(UnreadableImage) as caught:
            decoders.decode(PNG)
        assert caught.value.code == code
        assert decoders.decode(PNG).shape == (40, 30)
    finally:
        decoders.close()


def test_a_variant_nobody_knows_is_unsupported(tmp_path: Path) -> None:
    decoders = pool(tmp_path, 'send({"error": "transfer_syntax"})')
    with pytest.raises(UnsupportedImage):
        decoders.decode(PNG)
    decoders.close()


def test_a_program_that_does_not_start_is_named_as_our_fault(tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text("raise SystemExit(1)")
    with pytest.raises(UnreadableImage) as caught:
        DecodingPool(syntaxes=[], program=tmp_path / "broken.py").decode(PNG)
    assert caught.value.code == "no_decoder"


def test_a_process_that_grows_beyond_its_memory_ends_and_not_the_service() -> None:
    small = DecodingPool(syntaxes=[], memory=24 * 2**20)
    large = cv2.imencode(".png", np.zeros((6000, 6000), np.uint8) + np.arange(6000, dtype=np.uint8))[1]
    with pytest.raises(UnreadableImage) as caught:
        small.decode(Encoded(data=large.tobytes(), size=Size(6000, 6000)))
    assert caught.value.code in ("too_large", "decode")
    np.testing.assert_array_equal(small.decode(PNG), PICTURE)
    small.close()


def test_no_more_processes_than_allowed_and_none_after_closing() -> None:
    decoders = DecodingPool(syntaxes=[], size=2)
    results: list[bool] = []
    threads = [
        threading.Thread(target=lambda: results.append(np.array_equal(decoders.decode(PNG), PICTURE)))
        for _ in range(12)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [True] * 12
    mine = [process for process in psutil.Process().children() if process.pid in _pids(decoders)]
    assert 1 <= len(mine) <= 2
    decoders.close()
    assert not any(process.is_running() for process in mine)


def test_a_process_killed_while_idle_costs_no_image() -> None:
    decoders = DecodingPool(syntaxes=[], size=1)
    decoders.decode(PNG)
    (pid,) = _pids(decoders)
    os.kill(pid, signal.SIGKILL)
    psutil.wait_procs([psutil.Process(pid)], timeout=0.2)
    np.testing.assert_array_equal(decoders.decode(PNG), PICTURE)
    decoders.close()


def test_a_decoder_process_knows_nothing_of_our_environment() -> None:
    os.environ["YOLO_MLSAM_TEST_SECRET"] = "secret"
    try:
        decoders = DecodingPool(syntaxes=[], size=1)
        decoders.decode(PNG)
        (pid,) = _pids(decoders)
        assert b"secret" not in Path(f"/proc/{pid}/environ").read_bytes()
        decoders.close()
    finally:
        del os.environ["YOLO_MLSAM_TEST_SECRET"]


def test_a_forked_child_decodes_with_processes_of_its_own() -> None:
    shared_pool(supported_syntaxes()).decode(PNG)
    before = _pids(shared_pool(supported_syntaxes()))
    child = os.fork()
    if child == 0:
        try:
            same = np.array_equal(shared_pool(supported_syntaxes()).decode(PNG), PICTURE)
            own = not before & _pids(shared_pool(supported_syntaxes()))
            shared_pool(supported_syntaxes()).close()
            os._exit(0 if same and own else 1)
        except BaseException:
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    np.testing.assert_array_equal(shared_pool(supported_syntaxes()).decode(PNG), PICTURE)


def _pids(decoders: DecodingPool) -> set[int]:
    return {process._process.pid for process in decoders._idle}
