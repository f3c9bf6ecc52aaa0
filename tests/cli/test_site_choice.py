"""A command works on the installation that is named, says which one it changes, and reading makes none."""

from __future__ import annotations

import os

import pytest
from typer.testing import CliRunner

from cli.__main__ import app
from mammo.database import open_database
from mammo.site_file import write_site_file

READING = [
    "backgrounds list",
    "dataset list",
    "dataset show 1",
    "doctor",
    "effort",
    "export --project 3 --out {out}",
    "models history",
    "models list",
    "models show champion",
    "order show 3",
    "reconcile",
    "reading agreement --project 3",
    "runs cancel x",
    "runs list",
    "runs log x",
    "runs resume x",
    "runs show x",
    "runs start --project 3",
    "runs watch x",
    "stage show 3",
    "stage propose 3",
    "trace 1",
    "weights list",
]
"""Commands that read, or change an installation that must exist."""

NEEDS_NO_INSTALLATION = ("backgrounds list", "weights list")


@pytest.mark.parametrize("command", READING)
def test_a_command_in_an_empty_folder_makes_no_installation(command, tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("YOLO_MLSAM_REDIS_URL", "redis://127.0.0.1:1/0")
    result = CliRunner().invoke(app, command.format(out=tmp_path / "out").split())
    assert list((tmp_path / "here").iterdir()) == []
    assert not isinstance(result.exception, AssertionError | AttributeError | KeyError | TypeError)
    if command not in NEEDS_NO_INSTALLATION:
        said = f"{result.output} {result.exception}"
        assert result.exit_code == 1, said
        assert any(each in said for each in ("--site", "set YOLO_MLSAM_")), said


def site_file(folder, **more):
    file = folder / "site.env"
    open_database(f"sqlite:///{folder / 'yolo-mlsam.db'}").dispose()
    values = {"YOLO_MLSAM_DATA_DIR": str(folder), "YOLO_MLSAM_REDIS_URL": "redis://127.0.0.1:1/0", **more}
    write_site_file(file, values, comment="of a test")
    return file


def test_a_named_installation_is_found_from_anywhere_and_only_by_this_command(tmp_path, monkeypatch):
    monkeypatch.delenv("YOLO_MLSAM_SITE", raising=False)
    file = site_file(tmp_path)
    listed = CliRunner().invoke(app, ["--site", str(file), "runs", "list", "--json"])
    assert (listed.exit_code, listed.output.strip()) == (0, "[]"), listed.output
    assert "YOLO_MLSAM_SITE" not in os.environ


def test_a_command_that_changes_an_installation_says_which_one_unless_quiet(tmp_path):
    file = site_file(tmp_path)
    loud = CliRunner().invoke(app, ["--site", str(file), "runs", "cancel", "x"])
    assert f"site: {file} (data {tmp_path}, Label Studio not set)" in loud.stderr
    assert "site:" not in loud.stdout
    quiet = CliRunner().invoke(app, ["--quiet", "--site", str(file), "runs", "cancel", "x"])
    assert "site:" not in quiet.output


def test_a_site_that_does_not_exist_is_refused_with_what_to_do(tmp_path):
    result = CliRunner().invoke(app, ["--site", str(tmp_path / "no.env"), "runs", "list"])
    assert "does not exist; `yolo-mlsam init" in str(result.exception)
