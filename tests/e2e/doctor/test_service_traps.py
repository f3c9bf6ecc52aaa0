"""Doctor against the real Label Studio: clock, tokens, SSRF, queue, schedule, disk; and the command itself."""

from __future__ import annotations

import re
import shutil
import sys
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import orjson
import pytest
from rq import Queue
from rq.serializers import JSONSerializer

from cli.__main__ import main
from cli.demo.label_studio_server import label_studio_environment
from cli.demo.processes import Processes, free_port
from cli.demo.stack import Stack, environment_of
from cli.doctor.command import show
from mammo.annotations import AnnotationStore
from mammo.broker import redis_connection
from mammo.database import open_database
from mammo.labelstudio import LabelStudioClient
from mammo.runs.jobs import JobQueue
from mammo.runs.payloads import PrelabelProject
from mammo.settings import PREFIX, Settings
from tests.backend.fakes import PASSWORD, SECRET
from tests.e2e.conftest import LABEL_STUDIO
from tests.e2e.site import (
    Ward,
    change_hook,
    expect_fixed,
    hours_ahead,
    personal_token,
)

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]


def test_clocks_that_differ(ward: Ward) -> None:
    says = ward.broken(now=hours_ahead(1))["clock"].says
    assert re.search(r"differ by (3599|360\d) s", says), says


def test_a_schedule_that_is_off_or_that_nobody_keeps(ward: Ward) -> None:
    """A webhook came, so the project is known; no backend compares it with Label Studio."""
    off = ward.with_settings(reconcile_seconds=0.0)
    assert "YOLO_MLSAM_RECONCILE_SECONDS" in ward.broken(settings=off)["scheduler"].remedy
    engine = open_database(ward.settings.database)
    with closing(AnnotationStore(engine)) as store:
        body = orjson.dumps({"action": "TASKS_CREATED", "project": {"id": ward.project}, "tasks": []})
        store.append(body, action="TASKS_CREATED", received_at=datetime.now(UTC) - timedelta(minutes=11))
    engine.dispose()
    expect_fixed(ward, "scheduler", "never", "every 600 s")
    later = ward.broken(now=hours_ahead(1))
    assert "60 minutes ago" in later["scheduler"].says


def test_a_queue_without_a_worker(ward: Ward, tmp_path: Path) -> None:
    redis = redis_connection(ward.settings.redis_url.get_secret_value())
    queue = Queue("predict", connection=redis, serializer=JSONSerializer)
    try:
        JobQueue(redis).enqueue_prelabel(PrelabelProject(10**6))
        found = ward.broken()
        assert found["worker"].says == "no worker takes 1 job(s) in predict"
        queue.empty()
        environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(Path(__file__).parents[3])}
        environment |= environment_of(ward.settings)
        with Processes(tmp_path / "logs") as processes:
            processes.start(
                "worker",
                [sys.executable, "-m", "worker"],
                environment=environment,
                ready=lambda: JobQueue(redis).condition().workers == 1,
                within=60,
            )
            assert "worker" not in ward.broken()
    finally:
        redis.flushdb()


def test_a_broker_a_database_and_a_disk_that_are_away(
    ward: Ward, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    away = ward.with_settings(
        redis_url=Settings.load(redis_url="redis://127.0.0.1:9/0").redis_url,
        database_url="postgresql+psycopg://nobody@127.0.0.1:9/none",
    )
    found = ward.broken(settings=away)
    assert {"redis", "database"} <= set(found)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(100, 99, 1))  # type: ignore[attr-defined]
    assert "free disk space" in ward.broken()["disk"].remedy
    monkeypatch.undo()
    fresh = ward.with_settings(data_dir=tmp_path / "new")
    states = ward.repaired(settings=fresh)
    assert (states["database"], (tmp_path / "new/yolo-mlsam.db").is_file()) == ("fixed", True)


def test_legacy_tokens_that_are_disabled_and_a_personal_one_that_works(ward: Ward) -> None:
    server = ward.label_studio
    token = personal_token(server)
    with LabelStudioClient(server.url, token) as personal:
        try:
            personal.call(
                "POST",
                "/api/jwt/settings",
                json={"api_tokens_enabled": True, "legacy_api_tokens_enabled": False},
            )
            found = ward.broken()
            assert set(found) == {"token"}
            assert "legacy tokens are disabled" in found["token"].says
            assert "personal access token" in found["token"].remedy
            settings = ward.with_settings(
                label_studio_api_key=Settings.load(label_studio_api_key=token).label_studio_api_key
            )
            assert ward.broken(client=personal, settings=settings) == {}, (
                "images and all, with the exchanged token"
            )
            personal.connect_backend(
                ward.project, ward.url, user="label-studio", password=PASSWORD, webhook_secret=SECRET
            )
        finally:
            personal.call(
                "POST",
                "/api/jwt/settings",
                json={"api_tokens_enabled": True, "legacy_api_tokens_enabled": True},
            )
    with LabelStudioClient(server.url, "0" * 40) as wrong:
        assert "not accepted" in ward.broken(client=wrong)["token"].says
    with LabelStudioClient("http://127.0.0.1:9", "0" * 40) as gone:
        assert "does not answer" in ward.broken(client=gone)["label-studio"].says


def test_personal_tokens_that_are_disabled(ward: Ward) -> None:
    """Label Studio exchanges them all the same, and refuses what it gave."""
    server, both = ward.label_studio, {"api_tokens_enabled": True, "legacy_api_tokens_enabled": True}
    with LabelStudioClient(server.url, personal_token(server)) as personal:
        assert "token" not in ward.broken(client=personal)
        ward.client.call("POST", "/api/jwt/settings", json=both | {"api_tokens_enabled": False})
        try:
            found = ward.broken(client=personal)["token"]
        finally:
            ward.client.call("POST", "/api/jwt/settings", json=both)
        assert "personal access tokens are disabled" in found.says
        assert "legacy token" in found.remedy


@pytest.mark.parametrize("variant", ["both", "webhooks only"])
def test_ssrf_switches(ward: Ward, stack: Stack, variant: str, tmp_path: Path) -> None:
    """A second Label Studio on the same data, with the switches as they come out of the box, or half set."""
    server = ward.label_studio
    environment = label_studio_environment(server, server.files.parent)
    environment["LABEL_STUDIO_SSRF_PROTECTION_ENABLED"] = "true"
    environment["LABEL_STUDIO_ML_BLOCK_LOCAL_IP"] = "true" if variant == "both" else "false"
    url = f"http://127.0.0.1:{free_port()}"
    environment["LABEL_STUDIO_HOST"] = url
    command = [str(LABEL_STUDIO.absolute()), "start", "--no-browser", "--internal-host", "127.0.0.1"]
    with Processes(tmp_path / "logs") as processes, LabelStudioClient(url, server.api_key) as guarded:
        processes.start(
            "guarded",
            [*command, "--port", url.rpartition(":")[2]],
            environment=environment,
            ready=guarded.health,
            within=300,
        )
        rows = len(ward.client.backends(ward.project)), len(ward.client.webhooks(ward.project))
        line = ward.broken(client=guarded)["ssrf"].line()
        assert "LABEL_STUDIO_SSRF_PROTECTION_ENABLED=false" in line
        assert ("yet it shows Connected" in line) is (variant == "webhooks only")
        after = len(ward.client.backends(ward.project)), len(ward.client.webhooks(ward.project))
        assert rows == after, "the probes leave nothing behind"


def test_the_command_says_it_in_lines_and_in_json_and_by_its_exit_code(
    ward: Ward, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in environment_of(ward.settings).items():
        monkeypatch.setenv(name, value)
    assert f"{PREFIX}AUTH_PASSWORD" in environment_of(ward.settings)
    change_hook(ward, headers={})
    arguments = ["doctor", "--project", str(ward.project), "--url", ward.url]

    def run(*more: str) -> tuple[int, str]:
        with pytest.raises(SystemExit) as end:
            main([*arguments, *more])
        return int(end.value.code or 0), capsys.readouterr().out

    code, lines = run()
    assert code == 1
    (line,) = [each for each in lines.splitlines() if each.startswith("broken")]
    assert "carries no secret" in line
    code, text = run("--json")
    report = orjson.loads(
        re.search(r"^{.*^}", text, re.DOTALL | re.MULTILINE).group()
    )  # the backend logs here too
    assert (code, report["broken"]) == (1, 1)
    assert {"check", "state", "says", "remedy"} == set(report["checks"][0])
    assert PASSWORD not in text + lines
    assert SECRET not in text + lines
    assert run("--fix")[0] == 0
    assert run()[0] == 0
    show([], as_json=False)
