"""What every page of the console has."""

from __future__ import annotations

import re

import pytest
from jinja2 import UndefinedError

from backend.console.assets import Assets
from backend.console.rendering import Renderer, code, duration
from tests.backend.console.access import HTML, browser
from tests.backend.fakes import Backend


def test_a_browser_is_sent_to_the_console_and_label_studio_is_not() -> None:
    client = Backend().client
    sent = client.get("/", headers=HTML, follow_redirects=False)
    assert (sent.status_code, sent.headers["Location"]) == (303, "/console")
    for accept in ({}, {"Accept": "*/*"}, {"Accept": "application/json"}):
        assert client.get("/", headers=accept).json()["status"] == "UP"
    assert client.get("/health", headers=HTML).json()["status"] == "UP"


def test_a_page_allows_no_script_and_no_style_but_its_own_files() -> None:
    page = browser(Backend(), "viewer").get("/console")
    policy = page.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son\w+=", page.text)
    assert page.headers["Referrer-Policy"] == "same-origin", "else browsers send no origin with a form"
    assert page.headers["Cache-Control"] == "no-store"


def test_assets_are_kept_forever_under_a_name_that_changes_with_their_content() -> None:
    client = Backend().client
    page = client.get("/console/login").text
    paths = re.findall(r'(?:href|src)="(/console/static/[^"]+)"', page)
    assert len(paths) == 3
    for path in paths:
        assert re.search(r"\.[0-9a-f]{16}\.(css|js|svg)$", path)
        asset = client.get(path)
        assert asset.status_code == 200, "without a log-in"
        assert "immutable" in asset.headers["Cache-Control"]
    assert client.get("/console/static/console.0000000000000000.css").status_code == 404


def test_a_forgotten_fact_is_an_error_not_a_blank() -> None:
    with pytest.raises(UndefinedError):
        Renderer(Assets.read()).text("overview.html", person=None, csrf_field="", section="")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, "-"), (12, "12 s"), (61, "1 min"), (3600 * 2 + 300, "2 h 05 min"), (86400 * 3, "3 d 0 h")],
)
def test_a_duration_is_read_at_a_glance(seconds: float | None, text: str) -> None:
    assert duration(seconds) == text


def test_a_command_in_a_sentence_is_code_and_nothing_in_it_is_run() -> None:
    assert code("run `yolo-mlsam work` now") == "run <code>yolo-mlsam work</code> now"
    assert code("`<b>` <b>") == "<code>&lt;b&gt;</code> &lt;b&gt;"
