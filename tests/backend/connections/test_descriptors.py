"""`python -m backend` with few file descriptors, and more silent connections than that."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest

from tests.backend_process import BackendProcess

OPEN_FILES = 256
SILENT = 300


@pytest.fixture
def backend(tmp_path: Path) -> Iterator[BackendProcess]:
    environment = {
        "YOLO_MLSAM_DATA_DIR": str(tmp_path / "data"),
        "YOLO_MLSAM_AUTH_PASSWORD": "p",
        "YOLO_MLSAM_WEBHOOK_SECRET": "s",
    }
    process = BackendProcess(environment, log=tmp_path / "log", open_files=OPEN_FILES)
    process.start()
    try:
        process.wait()
        yield process
    finally:
        process.kill()


def test_more_silent_connections_than_descriptors_keep_nobody_out_and_fill_no_log(
    backend: BackendProcess,
) -> None:
    address = ("127.0.0.1", int(backend.url.rpartition(":")[2]))
    before = backend.log.stat().st_size
    with ExitStack() as silent:
        for _ in range(SILENT):
            silent.enter_context(socket.create_connection(address, timeout=10))
        for number in range(20):
            body = b'{"action":"ANNOTATION_CREATED","project":{"id":3},"number":%d}' % number
            assert backend.send(body).status_code == 201
        assert backend.health()["status"] == "UP"
        assert psutil.Process(backend.pid).num_fds() < OPEN_FILES
    assert backend.log.stat().st_size - before < 20_000
