"""`make env` makes the secrets of docker-compose.yml once, and keeps those that there are."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from mammo.settings import Settings

ROOT = Path(__file__).parents[2]
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())


def make_env(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, ROOT / "deploy/make_env.py", folder], capture_output=True, text=True
    )


def content(folder: Path) -> dict[str, str]:
    return {file.name: file.read_text() for file in (folder / "secrets").iterdir()}


def test_it_writes_every_file_that_compose_names_but_the_certificate(tmp_path):
    assert make_env(tmp_path).returncode == 0
    assert set(COMPOSE["secrets"]) - {"tls_certificate", "tls_key"} <= set(content(tmp_path))
    random = [text for text in content(tmp_path).values() if re.fullmatch("[0-9a-f]{40,}", text)]
    assert len(random) >= 12
    assert len(set(random)) == len(random)


def test_only_its_owner_opens_the_folder_and_containers_read_the_files(tmp_path):
    make_env(tmp_path)
    folder = tmp_path / "secrets"
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {file.stat().st_mode & 0o777 for file in folder.iterdir()} == {0o444}
    assert (tmp_path / ".env").stat().st_mode & 0o777 == 0o600


def test_what_is_there_is_kept_and_what_is_deleted_is_made_anew(tmp_path):
    make_env(tmp_path)
    before, settings = content(tmp_path), (tmp_path / ".env").read_text()
    assert make_env(tmp_path).returncode == 0
    assert (content(tmp_path), (tmp_path / ".env").read_text()) == (before, settings)
    (tmp_path / "secrets/redis_password").unlink()
    done = make_env(tmp_path)
    assert "redis_password" in done.stdout
    changed = {name for name, text in content(tmp_path).items() if text != before[name]}
    assert changed == {"redis_password", "redis_users.acl", "yolo_mlsam_redis_url"}


def test_the_secrets_of_an_earlier_release_are_taken_over(tmp_path):
    (tmp_path / ".env").write_text(
        "MAMMOGRAMS=/m\nPATIENT_SECRET=for-ever\nREDIS_PASSWORD=r3dis\nS3_ACCESS_KEY=a\nPOSTGRES_PASSWORD=p\n"
    )
    settings = (tmp_path / ".env").read_text()
    done = make_env(tmp_path)
    assert done.returncode == 0
    secrets = content(tmp_path)
    assert secrets["yolo_mlsam_patient_secret"] == "for-ever"
    assert secrets["yolo_mlsam_redis_url"] == "redis://yolo-mlsam:r3dis@valkey:6379/0"
    assert secrets["postgres_admin_password"] == "p"
    assert secrets["postgres_yolo_mlsam_password"] != "p"
    assert (tmp_path / ".env").read_text() == settings
    assert "PATIENT_SECRET, POSTGRES_PASSWORD, REDIS_PASSWORD, S3_ACCESS_KEY" in done.stdout


@pytest.mark.parametrize("value", ['"for ever"', "'x'", "a$b", "a#b", "ä", "a b"])
def test_a_secret_that_compose_would_read_otherwise_is_not_guessed(tmp_path, value):
    (tmp_path / ".env").write_text(f"PATIENT_SECRET={value}\n")
    done = make_env(tmp_path)
    assert done.returncode == 1
    assert "secrets/yolo_mlsam_patient_secret" in done.stdout
    (tmp_path / "secrets/yolo_mlsam_patient_secret").write_text("for ever")
    assert make_env(tmp_path).returncode == 0


def test_a_password_that_would_break_an_address_is_refused(tmp_path):
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets/redis_password").write_text("a@b/c")
    done = make_env(tmp_path)
    assert done.returncode == 1
    assert "redis_password" in done.stdout


def test_our_settings_and_label_studios_shell_read_what_was_made(tmp_path, monkeypatch):
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets/label_studio_password").write_text("it's $HOME; a word\n")
    make_env(tmp_path)
    monkeypatch.setenv("YOLO_MLSAM_SECRETS_DIR", str(tmp_path / "secrets"))
    settings, secrets = Settings.load(), content(tmp_path)
    assert settings.auth_password.get_secret_value() == secrets["yolo_mlsam_auth_password"]
    assert settings.database_url.startswith("postgresql+psycopg://yolo_mlsam:")
    command = COMPOSE["services"]["label-studio"]["entrypoint"]
    assert command[:2] == ["sh", "-c"]
    script = command[2].replace("/run/secrets", str(tmp_path / "secrets"))
    script = script.replace(
        "exec label-studio", 'printf "%s\\n%s" "$LABEL_STUDIO_PASSWORD" "$LABEL_STUDIO_USER_TOKEN"'
    )
    said = subprocess.run(["sh", "-c", script], capture_output=True, text=True).stdout
    assert said == f"it's $HOME; a word\n{secrets['yolo_mlsam_label_studio_api_key']}"
