"""`yolo-mlsam console` and `yolo-mlsam audit`."""

from __future__ import annotations

import csv
import io
import json

import pytest
import sqlalchemy as sa
from typer.testing import CliRunner

from cli.__main__ import app
from mammo.access.access import Access
from mammo.audit import append
from mammo.database import audit_entry, open_database, writing

PASSWORD = "a long enough password"


@pytest.fixture
def engine(tmp_path, monkeypatch):
    """A site's database, as the environment names it."""
    url = f"sqlite:///{tmp_path / 'site.db'}"
    monkeypatch.setenv("YOLO_MLSAM_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("YOLO_MLSAM_DATABASE_URL", url)
    opened = open_database(url)
    yield opened
    opened.dispose()


def run(*arguments, given=""):
    return CliRunner().invoke(app, arguments, input=given)


def test_a_user_is_added_changed_listed_and_removed(engine):
    users = Access.of(engine).users
    added = run("console", "user", "add", "anna", "--role", "viewer", given=PASSWORD + "\n")
    assert added.exit_code == 0, added.output
    assert PASSWORD not in added.output
    assert users.check("anna", PASSWORD).role == "viewer"
    assert run("console", "user", "role", "anna", "--role", "administrator").exit_code == 0
    assert run("console", "user", "password", "anna", given="another password\n").exit_code == 0
    assert users.check("anna", "another password").role == "administrator"
    assert run("console", "user", "add", "carla", "--role", "lead", "--no-password").exit_code == 0
    listed = run("console", "user", "list").output
    assert "administrator" in listed
    assert "at a proxy" in listed
    assert run("console", "user", "remove", "anna").exit_code == 0
    assert users.find("anna") is None


@pytest.mark.parametrize(("given", "says"), [("", "no password"), ("short\n", "10 to 200")])
def test_a_password_that_is_none_adds_nobody(engine, given, says):
    refused = run("console", "user", "add", "anna", "--role", "viewer", given=given)
    assert refused.exit_code == 1
    assert says in str(refused.exception)
    assert Access.of(engine).users.all() == []


def test_no_option_takes_a_password(engine):
    assert run("console", "user", "add", "anna", "--role", "viewer", "--password", PASSWORD).exit_code == 2


def test_a_key_is_printed_once_listed_without_it_and_revoked(engine):
    key = run("console", "key", "add", "ci", "--role", "viewer").output.strip()
    assert Access.of(engine).keys.find([key]).name == "ci"
    listed = run("console", "key", "list").output
    assert "ci" in listed
    assert key not in listed
    assert run("console", "key", "revoke", "ci").exit_code == 0
    assert Access.of(engine).keys.find([key]) is None


def test_the_trail_is_verified_and_a_change_is_an_exit_code(engine):
    run("console", "key", "add", "ci", "--role", "viewer")
    whole = run("audit", "verify")
    assert whole.exit_code == 0
    noted = whole.output.split()[-1]
    assert run("audit", "verify", "--noted", noted).exit_code == 0
    assert run("audit", "verify", "--noted", "0123").exit_code == 1
    assert "key added" in run("audit", "list").output
    with writing(engine) as connection:
        connection.execute(sa.update(audit_entry).values(actor="nobody"))
    broken = run("audit", "verify")
    assert broken.exit_code == 1
    assert "entry 1 was changed" in broken.output


def test_the_trail_is_exported_and_no_spreadsheet_computes_it(engine):
    with writing(engine) as connection:
        append(connection, actor="anna", action="run started", subject="r", reason='=HYPERLINK("x"), \ud800')
    first = json.loads(run("audit", "export", "--format", "json").output)
    assert first["reason"].startswith("=HYPERLINK")
    header, row = csv.reader(io.StringIO(run("audit", "export").output))
    assert dict(zip(header, row, strict=True))["reason"].startswith("'=HYPERLINK")
