from pathlib import Path

import pytest
from pydantic import ValidationError

from mammo.errors import InvalidSettings
from mammo.settings import Settings


def test_a_wrong_variable_is_named_and_its_value_is_not_shown(monkeypatch):
    monkeypatch.setenv("YOLO_MLSAM_PORT", "hunter2")
    with pytest.raises(InvalidSettings, match="YOLO_MLSAM_PORT") as failure:
        Settings.load()
    assert "hunter2" not in str(failure.value)


def test_secrets_do_not_show_in_a_repr(monkeypatch):
    monkeypatch.setenv("YOLO_MLSAM_WEBHOOK_SECRET", "hunter2")
    settings = Settings.load()
    assert settings.webhook_secret.get_secret_value() == "hunter2"
    assert "hunter2" not in repr(settings)


def test_a_setting_that_is_no_json_is_named(monkeypatch):
    monkeypatch.setenv("YOLO_MLSAM_THRESHOLDS", "{12: 0.3}")
    with pytest.raises(InvalidSettings, match=r"YOLO_MLSAM_THRESHOLDS .* no valid JSON"):
        Settings.load()


def test_an_address_without_http_is_refused_with_a_reason(monkeypatch):
    monkeypatch.setenv("YOLO_MLSAM_LABEL_STUDIO_URL", "label-studio:8080")
    with pytest.raises(InvalidSettings, match="_URL: expected an address that starts with http"):
        Settings.load()


def test_a_token_that_a_file_held_comes_without_the_files_line_end(monkeypatch):
    monkeypatch.setenv("YOLO_MLSAM_LABEL_STUDIO_API_KEY", "hunter2\n")
    assert Settings.load().label_studio_api_key.get_secret_value() == "hunter2"


def test_settings_cannot_be_changed():
    with pytest.raises(ValidationError):
        Settings.load().port = 1  # type: ignore[misc]


def test_the_database_lies_in_the_data_folder_unless_said_otherwise(tmp_path: Path):
    assert Settings.load(data_dir=tmp_path).database == f"sqlite:///{tmp_path}/yolo-mlsam.db"
    assert Settings.load(database_url="postgresql+psycopg://x").database == "postgresql+psycopg://x"


def test_a_trailing_slash_of_an_address_is_dropped():
    assert (
        Settings.load(label_studio_url="http://127.0.0.1:8080/").label_studio_url == "http://127.0.0.1:8080"
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("LABEL_STUDIO_URL", "127.0.0.1:31415"),
        ("REDIS_URL", "31415:6379"),
        ("S3_ENDPOINT", "http:///31415"),
        ("DATABASE_URL", "postgresql://me:31415@here/it"),
        ("DATABASE_URL", "31415"),
    ],
)
def test_an_address_without_its_scheme_or_host_is_refused_by_name(name, value, monkeypatch):
    monkeypatch.setenv(f"YOLO_MLSAM_{name}", value)
    with pytest.raises(InvalidSettings, match=rf"{name}.*://") as failure:
        Settings.load()
    assert "31415" not in str(failure.value)


def test_projects_may_have_thresholds_of_their_own(monkeypatch):
    assert Settings.load().thresholds == {}
    monkeypatch.setenv("YOLO_MLSAM_THRESHOLDS", '{"12": 0.3, "3": 0.05}')
    assert Settings.load().thresholds == {12: 0.3, 3: 0.05}


@pytest.mark.parametrize("value", ["0.31415", '{"12": 31415}', '{"31415x": 0.3}', "{31415", '{"1": 0}'])
def test_thresholds_that_are_none_are_refused_by_name(value, monkeypatch):
    monkeypatch.setenv("YOLO_MLSAM_THRESHOLDS", value)
    with pytest.raises(InvalidSettings, match=r"(?i)thresholds") as failure:
        Settings.load()
    assert "31415" not in str(failure.value).replace("31415X", "")  # a key is part of the name


@pytest.fixture
def secrets(tmp_path, monkeypatch):
    folder = tmp_path / "secrets"
    folder.mkdir()
    monkeypatch.setenv("YOLO_MLSAM_SECRETS_DIR", str(folder))
    return folder


def test_a_setting_may_be_a_file_as_container_engines_mount_secrets(secrets, monkeypatch):
    (secrets / "yolo_mlsam_auth_password").write_text("hunter2\n")
    (secrets / "YOLO_MLSAM_WEBHOOK_SECRET").write_text("hunter3")
    (secrets / "yolo_mlsam_thresholds").write_text('{"12": 0.3}')
    (secrets / "somebody_elses").write_text("hunter4")
    settings = Settings.load()
    assert settings.auth_password.get_secret_value() == "hunter2"
    assert settings.webhook_secret.get_secret_value() == "hunter3"
    assert settings.thresholds == {12: 0.3}
    monkeypatch.setenv("YOLO_MLSAM_AUTH_PASSWORD", "the variable counts")
    assert Settings.load().auth_password.get_secret_value() == "the variable counts"


def test_files_may_be_links_inside_the_folder_as_kubernetes_makes_them(secrets):
    (secrets / "..2026_12_01").mkdir()
    (secrets / "..2026_12_01" / "yolo_mlsam_auth_password").write_text("hunter2")
    (secrets / "..data").symlink_to("..2026_12_01")
    (secrets / "yolo_mlsam_auth_password").symlink_to("..data/yolo_mlsam_auth_password")
    assert Settings.load().auth_password.get_secret_value() == "hunter2"


@pytest.mark.parametrize(
    "spoil",
    [
        lambda folder: folder.rmdir(),
        lambda folder: (folder.rmdir(), folder.write_text("hunter2")),
        lambda folder: (folder / "yolo_mlsam_auth_password").mkdir(),
        lambda folder: (folder / "yolo_mlsam_auth_password").symlink_to("/etc/hostname"),
        lambda folder: (folder / "yolo_mlsam_auth_password").write_bytes(b"hunter2\xff"),
    ],
    ids=["missing", "no-folder", "a-folder-in-it", "leads-out", "not-utf-8"],
)
def test_a_folder_of_secrets_that_cannot_be_read_is_refused_by_name(secrets, spoil):
    spoil(secrets)
    with pytest.raises(InvalidSettings, match="YOLO_MLSAM_SECRETS_DIR") as failure:
        Settings.load()
    assert "hunter2" not in str(failure.value)
