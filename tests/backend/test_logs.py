"""Logs are one JSON object a line, ours and the libraries', and no library logs whole URLs."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from backend.logs import QUIET, configure


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
