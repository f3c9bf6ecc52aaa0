"""One file describes an installation; the environment counts more, and nobody else may read it."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mammo.errors import InvalidSettings
from mammo.settings import Settings
from mammo.site_file import write_site_file


@pytest.fixture
def file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path / "yolo-mlsam.env"


def write(file: Path, text: str) -> None:
    file.write_text(text)
    file.chmod(0o600)


def test_the_file_of_the_working_directory_is_found_and_the_environment_counts_more(file, monkeypatch):
    write_site_file(file, {"YOLO_MLSAM_PORT": "9191", "YOLO_MLSAM_HOST": "127.0.0.2"}, comment="of a test")
    monkeypatch.setenv("YOLO_MLSAM_HOST", "127.0.0.3")
    settings = Settings.load()
    assert (settings.port, settings.host, settings.site) == (9191, "127.0.0.3", file)
    assert Settings.load(port=9292).port == 9292


def test_a_named_file_counts_more_than_that_of_the_working_directory(file, tmp_path, monkeypatch):
    write(file, "YOLO_MLSAM_PORT=1\n")
    other = tmp_path / "other.env"
    write(other, "YOLO_MLSAM_PORT=2\n")
    monkeypatch.setenv("YOLO_MLSAM_SITE", str(other))
    assert Settings.load().port == 2


def test_a_file_of_the_secrets_folder_counts_more_than_the_settings_file(file, tmp_path):
    (tmp_path / "mounted").mkdir()
    (tmp_path / "mounted/yolo_mlsam_auth_password").write_text("mounted")
    write(
        file,
        "YOLO_MLSAM_SECRETS_DIR=mounted\nYOLO_MLSAM_AUTH_PASSWORD=file\nYOLO_MLSAM_WEBHOOK_SECRET=file\n",
    )
    settings = Settings.load()
    assert settings.auth_password.get_secret_value() == "mounted"
    assert settings.webhook_secret.get_secret_value() == "file"


def test_relative_paths_are_those_of_the_files_folder(file, tmp_path, monkeypatch):
    write(file, 'YOLO_MLSAM_DATA_DIR=data\nYOLO_MLSAM_TWIN_ROOT=/srv\nYOLO_MLSAM_THRESHOLDS={"3": 0.5}\n')
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    monkeypatch.setenv("YOLO_MLSAM_SITE", "../yolo-mlsam.env")
    settings = Settings.load()
    assert (settings.data_dir, settings.twin_root) == (tmp_path / "data", Path("/srv"))
    assert settings.thresholds == {3: 0.5}


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o622])
def test_a_file_that_others_may_access_is_refused_with_the_command_that_mends_it(file, mode):
    write(file, "YOLO_MLSAM_PORT=1\n")
    file.chmod(mode)
    with pytest.raises(InvalidSettings, match=f"chmod 600 {file}"):
        Settings.load()


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("# a\n\nYOLO_MLSAM_PROT=31415\n", "line 3: YOLO_MLSAM_PROT is no setting"),
        ("YOLO_MLSAM_SITE=31415\n", "line 1: YOLO_MLSAM_SITE is no setting that this file may hold"),
        ("PATH=31415\n", "line 1: PATH is no setting"),
        ("YOLO_MLSAM_PORT=1\nYOLO_MLSAM_PORT=31415\n", "line 2: YOLO_MLSAM_PORT is set a second time"),
        ("YOLO_MLSAM_PORT\n", "line 1: expected NAME='value'"),
        ("YOLO_MLSAM_AUTH_PASSWORD='31415\n", "line 1: expected NAME='value'"),
        ("YOLO_MLSAM_PORT=31415x\n", "YOLO_MLSAM_PORT: "),
    ],
)
def test_what_is_not_understood_is_refused_without_its_value(file, text, problem):
    write(file, text)
    with pytest.raises(InvalidSettings) as failure:
        Settings.load()
    assert problem in str(failure.value)
    assert "31415" not in str(failure.value)


def test_a_named_file_that_does_not_exist_is_refused(file, monkeypatch):
    monkeypatch.setenv("YOLO_MLSAM_SITE", "missing.env")
    with pytest.raises(InvalidSettings, match=r"missing\.env does not exist.*init"):
        Settings.load()


@given(
    st.text(st.characters(codec="utf-8", exclude_characters="\r\n\x00\x85\u2028\u2029"), max_size=30).filter(
        lambda text: text == text.strip()
    )
)
def test_any_value_is_read_back_as_it_was_written(tmp_path_factory, value):
    file = tmp_path_factory.mktemp("site") / "a.env"
    write_site_file(file, {"YOLO_MLSAM_DATABASE_URL": f"sqlite:///{value}"}, comment="of a test")
    assert file.stat().st_mode & 0o777 == 0o600
    assert Settings.load(site=file).database_url == f"sqlite:///{value}"


def test_a_value_with_a_line_break_is_not_written(file):
    with pytest.raises(ValueError, match="line break"):
        write_site_file(file, {"YOLO_MLSAM_AUTH_USER": "a\nYOLO_MLSAM_PORT=1"}, comment="of a test")
    assert not file.exists()
