"""Channels: what they may be, what they are told, and what of them is shown."""

import pytest

from mammo.errors import InvalidChannel, InvalidSettings
from mammo.notifications import TOPICS
from tests.mammo.notifications.services import channel, service


def test_a_channel_is_kept_listed_and_removed_on_both_databases(any_engine):
    told = service(any_engine)
    added = channel(told, "https://receiver.example/hook/token", project=3, topics=["promoted", "run-failed"])
    assert told.channels.all() == [added]
    assert added.topics == ("run-failed", "promoted"), "in the order of TOPICS"
    assert channel(told, "a@b.example", kind="email").topics == TOPICS
    assert told.channels.remove(added.id, actor="me@here") == added
    assert [each.kind for each in told.channels.all()] == ["email"]
    with pytest.raises(InvalidChannel, match="no channel"):
        told.channels.remove(added.id, actor="me@here")


def test_the_path_of_a_webhook_which_may_hold_a_token_is_not_shown(engine):
    told = service(engine)
    added = channel(told, "https://receiver.example:8443/hook/token?key=secret")
    assert added.shown == "https://receiver.example:8443/…"
    assert "token" not in str(added.to_json())
    assert channel(told, "https://receiver.example").shown == "https://receiver.example"


@pytest.mark.parametrize(
    ("kind", "target"),
    [
        ("webhook", "ftp://receiver.example"),
        ("webhook", "https://me:secret@receiver.example/"),
        ("webhook", "https://receiver.example/a\r\nb"),
        ("webhook", ""),
        ("email", "Doe, Jane <a@b.example>"),
        ("email", "a@b.example\nBcc: c@d.example"),
        ("email", ""),
        ("note", "here"),
    ],
)
def test_a_wrong_target_is_refused_and_not_repeated(engine, kind, target):
    with pytest.raises(InvalidChannel) as refused:
        channel(service(engine), target, kind=kind)
    assert "secret" not in str(refused.value)


def test_an_unknown_topic_and_a_second_equal_channel_are_refused(engine):
    told = service(engine)
    with pytest.raises(InvalidChannel, match="no topic is called lunch"):
        channel(told, "", kind="note", topics=["lunch"])
    channel(told, "", kind="note", project=3)
    channel(told, "", kind="note", project=4)
    with pytest.raises(InvalidChannel, match="channel 1 is the same"):
        channel(told, "", kind="note", project=3)


def test_a_channel_that_could_send_nothing_is_refused_with_the_setting_that_is_missing(engine):
    with pytest.raises(InvalidSettings, match="NOTIFICATION_SECRET"):
        channel(service(engine, notification_secret=""), "https://receiver.example")
    with pytest.raises(InvalidSettings, match="SMTP_URL"):
        channel(service(engine, smtp_url=""), "a@b.example", kind="email")


def test_each_webhook_has_a_key_of_its_own_and_only_webhooks_have_one(engine):
    told = service(engine)
    keys = {told.written_key(channel(told, f"https://{name}.example")) for name in ("a", "b")}
    assert len(keys) == 2
    assert all(key.startswith("whsec_") for key in keys)
    with pytest.raises(InvalidSettings, match="no webhook"):
        told.written_key(channel(told, "", kind="note"))
