"""`yolo-mlsam init` writes a settings file that every command finds."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from cli.__main__ import app
from mammo.settings import Settings


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def init(*arguments: str, answers: str = ""):
    return CliRunner().invoke(app, ["init", *arguments], input=answers)


def test_the_questions_make_a_private_file_with_secrets_of_its_own(folder):
    answers = "http://127.0.0.1:1\nmammograms\n\n\nredis://127.0.0.1:1/0\n\n9191\nthe-token\ny\ny\n"
    result = init(answers=answers)
    file = folder / "yolo-mlsam.env"
    assert file.stat().st_mode & 0o777 == 0o600, result.output
    settings = Settings.load()
    assert settings.site == file
    assert (settings.mammogram_root, settings.twin_root) == (folder / "mammograms", folder / "twins")
    assert (folder / "mammograms").is_dir()
    assert settings.label_studio_api_key.get_secret_value() == "the-token"
    secrets = {
        each.get_secret_value()
        for each in (settings.auth_password, settings.webhook_secret, settings.patient_secret)
    }
    assert len(secrets) == 3
    assert settings.provisional_after == 5
    assert all(len(each) >= 32 and each not in result.output for each in secrets)
    assert "the-token" not in result.output
    assert not (folder / "data").exists()


def test_the_end_says_what_is_broken_and_what_is_next(folder):
    result = init("--no-input", "--label-studio", "http://127.0.0.1:1", "--redis", "redis://127.0.0.1:1/0")
    assert result.exit_code == 1
    assert "broken  mammogram-root" in result.stdout
    assert "broken  redis" in result.stdout
    for each in (
        f"LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT={folder / 'twins'}",
        "yolo-mlsam serve",
        "project create",
    ):
        assert each in result.stdout


def test_a_token_comes_from_standard_input(folder):
    init("--no-input", "--token-stdin", "--redis", "redis://127.0.0.1:1/0", answers="the-token\nmore\n")
    assert Settings.load().label_studio_api_key.get_secret_value() == "the-token"
    assert "input is empty" in str(init("other.env", "--no-input", "--token-stdin").exception)


def test_an_installation_is_never_given_other_secrets(folder):
    init("--no-input", "--redis", "redis://127.0.0.1:1/0")
    before = (folder / "yolo-mlsam.env").read_bytes()
    again = init("--no-input")
    assert "exists, and holds secrets that must not change" in str(again.exception)
    assert (folder / "yolo-mlsam.env").read_bytes() == before


@pytest.mark.parametrize(
    "arguments", [["--label-studio", "label-studio:8080"], ["--redis", "redis://:hunter2@127.0.0.1"]]
)
def test_an_invalid_answer_writes_nothing(folder, arguments):
    result = init("--no-input", *arguments)
    assert result.exit_code == 1
    assert "hunter2" not in str(result.exception)
    assert list(folder.iterdir()) == []
