"""Logs are one JSON object a line, ours and the libraries', and no library logs whole URLs."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator

import pytest
import structlog
from starlette.responses import PlainTextResponse
from starlette.testclient import TestClient

from backend.logs import ERRORS_ONLY, QUIET, configure
from backend.metrics import Metrics
from backend.middleware import MAX_LINES, Guard
from tests.backend.fakes import Backend


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    root = logging.getLogger()
    before = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = before


def test_every_line_is_json_with_level_time_and_facts(capsys: pytest.CaptureFixture[str]) -> None:
    configure("INFO")
    structlog.get_logger().info("event stored", task=7)
    logging.getLogger("some.library").warning("careful %s", 1)
    logging.getLogger("some.library").debug("unheard")
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [(line["event"], line["level"], line.get("task")) for line in lines] == [
        ("event stored", "info", 7),
        ("careful 1", "warning", None),
    ]
    assert all("timestamp" in line for line in lines)


@pytest.mark.parametrize("name", QUIET)
def test_loggers_that_would_show_whole_urls_are_kept_quiet(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    configure("DEBUG")
    logging.getLogger(name).info("GET https://bucket/x?X-Amz-Signature=secret")
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("status", [401, 403, 429])
def test_refusals_fill_no_log_and_are_counted(status: int) -> None:
    now, metrics = [0.0], Metrics()
    guard = Guard(
        PlainTextResponse(status_code=status),
        metrics=metrics,
        paths=frozenset(["/predict"]),
        clock=lambda: now[0],
    )
    client = TestClient(guard)
    with structlog.testing.capture_logs() as logs:
        for _ in range(3 * MAX_LINES):
            client.post("/predict")
        assert [each["route"] for each in logs] == ["/predict"] * MAX_LINES
        now[0] += 60 / MAX_LINES
        client.post("/made/up")
    assert (logs[-1]["route"], logs[-1]["not_logged_before"]) == ("other", 2 * MAX_LINES)
    counted = f'yolo_mlsam_http_requests_total{{route="/predict",status="{status}"}} {3 * MAX_LINES:.1f}'
    assert counted in metrics.text(serving=None).decode()


@pytest.mark.parametrize("headers", [{}, {"Origin": "https://evil.example"}], ids=["no-secret", "cross-site"])
def test_a_refusal_is_one_line_with_its_route(headers: dict[str, str]) -> None:
    backend = Backend()
    with structlog.testing.capture_logs() as logs:
        backend.client.post("/predict", headers=headers)
    assert [each["route"] for each in logs] == ["/predict"]


def test_what_any_client_can_cause_in_uvicorn_is_not_logged() -> None:
    configure("INFO")
    logger = logging.getLogger(ERRORS_ONLY)
    assert not logger.isEnabledFor(logging.WARNING), "such as: Invalid HTTP request received."
    assert logger.isEnabledFor(logging.ERROR), "a fault of ours"
