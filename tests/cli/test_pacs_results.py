"""Results go to the PACS by command; a real Orthanc takes them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from cli.__main__ import app
from mammo.errors import InvalidSettings
from mammo.site import Site
from tests.mammo.exchange.export.test_prelabels import prelabelled
from tests.orthanc_server import OrthancServer


@pytest.fixture(autouse=True)
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, orthanc: OrthancServer) -> None:
    monkeypatch.setenv("YOLO_MLSAM_DATA_DIR", str(tmp_path / "data"))
    for name, value in orthanc.settings.items():
        if value:
            monkeypatch.setenv(f"YOLO_MLSAM_{name.upper()}", str(value))
    with Site.load(creates=True) as site:
        assert site.engine


def call(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments, env={"COLUMNS": "250"})


def test_prelabels_are_sent_listed_and_not_sent_again(tmp_path: Path, orthanc: OrthancServer) -> None:
    folder = tmp_path / "prelabels"
    folder.mkdir()
    prelabelled(folder)
    orthanc.push(folder / "case.dcm")
    for kind in ("sr", "cad-sr"):
        sent = call("export", str(folder), "--format", kind, "--to", "pacs")
        assert sent.exit_code == 0, sent.output
        assert "1 results are new or changed" in sent.output
        assert "1 results sent to the PACS, 0 wait" in sent.output
    again = call("export", str(folder), "--format", "sr", "--to", "pacs")
    assert "0 results are new or changed, 1 as they were" in again.output
    assert "0 results sent" in again.output
    assert len(orthanc.rest("GET", "/instances")) == 3
    listed = call("pacs", "results")
    assert "2 findings  delivered, 1 attempts" in listed.output
    rows = json.loads(call("pacs", "results", "--json").output)
    assert [(row["kind"], row["state"]) for row in rows] == [("cad-sr", "delivered"), ("sr", "delivered")]
    assert "2.25." not in listed.output + json.dumps(rows)


def test_what_the_pacs_does_not_take_waits_for_the_next_command(
    tmp_path: Path, orthanc: OrthancServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "prelabels"
    folder.mkdir()
    prelabelled(folder)
    orthanc.push(folder / "case.dcm")
    monkeypatch.setenv("YOLO_MLSAM_PACS_PASSWORD", "wrong")
    failed = call("export", str(folder), "--format", "sr", "--to", "pacs")
    assert failed.exit_code == 2
    assert "answered 401" in failed.output
    assert "0 results sent to the PACS, 1 wait" in failed.output
    assert "answered 401" in call("pacs", "results").output
    monkeypatch.setenv("YOLO_MLSAM_PACS_PASSWORD", orthanc.password)
    assert "1 wait" in call("pacs", "send").output
    sent = call("pacs", "send", "--now")
    assert (sent.exit_code, "1 results sent to the PACS, 0 wait" in sent.output) == (0, True)


@pytest.mark.parametrize(
    "words", [("--format", "coco", "--to", "pacs"), ("--to", "disk"), (), ("--to", "pacs", "--out", "x")]
)
def test_a_destination_that_is_none_is_refused(words: tuple[str, ...]) -> None:
    refused = call("export", "x.json", *words)
    assert isinstance(refused.exception, InvalidSettings)
    assert "--to pacs" in str(refused.exception)
