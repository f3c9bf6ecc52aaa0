import json
import stat

import pytest
from typer.testing import CliRunner

from cli.__main__ import app
from mammo.errors import InvalidChannel, InvalidSettings
from mammo.site import Site
from tests.mammo.notifications.receivers import receiver, verified
from tests.mammo.notifications.services import run as ended_run


@pytest.fixture(autouse=True)
def environment(tmp_path, monkeypatch):
    monkeypatch.setenv("YOLO_MLSAM_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("YOLO_MLSAM_NOTIFICATION_SECRET", "a secret of the tests")
    monkeypatch.setenv("YOLO_MLSAM_PRIVATE_NETWORKS", "127.0.0.0/8")
    with Site.load(creates=True) as site:
        assert site.engine


def call(*arguments, given=None):
    return CliRunner().invoke(app, ["notifications", *arguments], env={"COLUMNS": "250"}, input=given)


def test_a_webhook_is_added_tested_listed_and_removed_and_its_receiver_can_verify(tmp_path):
    with receiver() as there:
        added = call("add", "--webhook-file", "-", "--project", "3", given=f"{there.url}?key=secret\n")
        assert added.exit_code == 0, added.output
        written = call("key", "1", "--out", str(tmp_path / "key"))
        tested = call("test", "1")
        assert tested.exit_code == 0, tested.output
        key = (tmp_path / "key").read_text().strip()
        ((headers, body),) = there.seen
        assert verified(key, headers, body)
        assert headers["webhook-id"] in tested.output
        with Site.load() as site:
            ended_run(site.engine)
            site.notifications.round()
        listed, log = call("list"), call("log")
        there.statuses = [500]
        failed = call("test", "1")
        assert failed.exit_code == 1
        assert "answered 500" in failed.output
    (channel,) = json.loads(call("list", "--json").output)
    assert (channel["kind"], channel["project"], channel["target"]) == (
        "webhook",
        3,
        f"http://127.0.0.1:{there.port}/…",
    )
    states = [(each["topic"], each["state"]) for each in json.loads(call("log", "--json").output)]
    assert states == [("test", "failed"), ("run-finished", "delivered"), ("test", "delivered")]
    assert "run-finished" in log.output
    removed = call("remove", "1")
    assert json.loads(call("list", "--json").output) == []
    assert len(json.loads(call("log", "--json").output)) == 3, "the log stays"
    for printed in (added, written, tested, listed, log, failed, removed):
        for secret in (key, key.removeprefix("whsec_"), "token-of-the-receiver", "secret of", "key=secret"):
            assert secret not in printed.output
    assert stat.S_IMODE((tmp_path / "key").stat().st_mode) == 0o600


@pytest.mark.parametrize("address", ["https://h.example/?key=secret", "https://me:secret@h.example/"])
def test_a_secret_among_the_arguments_is_refused_and_not_printed(address):
    refused = call("add", "--webhook", address)
    assert refused.exit_code == 2
    assert "--webhook-file" in refused.output
    assert "secret" not in refused.output


def test_exactly_one_address_is_asked_for():
    assert call("add").exit_code == 2
    assert call("add", "--note", "--email", "a@b.example").exit_code == 2
    assert call("add", "--note", "--topics", "sent-back, promoted").exit_code == 0
    assert json.loads(call("list", "--json").output)[0]["topics"] == ["promoted", "sent-back"]


def test_a_key_never_replaces_a_file(tmp_path):
    assert call("add", "--webhook", "https://h.example/").exit_code == 0
    (tmp_path / "key").write_text("mine")
    assert isinstance(call("key", "1", "--out", str(tmp_path / "key")).exception, InvalidChannel)
    assert (tmp_path / "key").read_text() == "mine"


def test_what_is_missing_is_said(monkeypatch):
    assert isinstance(call("test", "7").exception, InvalidChannel)
    assert isinstance(call("add", "--email", "a@b.example").exception, InvalidSettings)
    monkeypatch.delenv("YOLO_MLSAM_NOTIFICATION_SECRET")
    assert isinstance(call("add", "--webhook", "https://h.example/").exception, InvalidSettings)
