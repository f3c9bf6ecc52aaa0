"""E-mail against a real SMTP server, with and without TLS."""

from datetime import UTC, datetime

import pytest
from pydantic import SecretStr, ValidationError

from mammo.errors import NotDelivered
from mammo.notifications.mail import MailServer, compose
from mammo.settings import Settings
from tests.mammo.notifications.receivers import mail_server

BODY = {"topic": "run-failed", "project": 3, "text": "Run r failed.", "facts": {"run": "r"}}


def mail(message="msg_1"):
    at = datetime(2026, 12, 1, 12, tzinfo=UTC)
    return compose(
        BODY, message=message, sender="us@hospital.example", recipient="them@x.example", channel=4, at=at
    )


def client(there, *, tls_from_start=False, user="", password="right", host="127.0.0.1"):
    return MailServer(
        host=host,
        port=there.port,
        tls_from_start=tls_from_start,
        user=user,
        password=SecretStr(password),
        sender="us@hospital.example",
    )


@pytest.mark.parametrize("tls", ["starttls", "start"])
def test_a_mail_arrives_encrypted_and_with_the_log_in(tmp_path, monkeypatch, tls):
    with mail_server(tmp_path, tls=tls) as there:
        monkeypatch.setenv("SSL_CERT_FILE", there.certificate)
        # aiosmtpd takes a log-in after STARTTLS only, and says so
        client(there, tls_from_start=tls == "start", user="us" if tls == "starttls" else "").send(mail())
    (taken,) = there.mails
    assert there.encrypted == [tls == "starttls"] or tls == "start"
    assert there.logins == ([("us", "right")] if tls == "starttls" else [])
    assert there.recipients == ["them@x.example"]
    assert taken["Subject"] == "[Yolo-MLSAM] project 3: run failed"
    assert taken["Message-ID"] == "<msg_1@hospital.example>"
    assert taken["Auto-Submitted"] == "auto-generated"
    text = taken.get_payload()
    assert "Run r failed." in text
    assert "run: r" in text
    assert "notifications remove 4" in text


@pytest.mark.parametrize("tls", ["starttls", "start"])
def test_a_certificate_that_nobody_vouches_for_gets_neither_mail_nor_password(tmp_path, tls):
    with (
        mail_server(tmp_path, tls=tls) as there,
        pytest.raises(NotDelivered, match="SSLCertVerificationError"),
    ):
        client(there, tls_from_start=tls == "start", user="us").send(mail())
    assert there.mails == []
    assert there.logins == []


def test_without_encryption_no_password_is_sent_and_no_mail_leaves_this_machine(tmp_path, monkeypatch):
    with mail_server(tmp_path, tls="none") as there:
        client(there).send(mail())
        assert len(there.mails) == 1, "the mail server of this machine"
        with pytest.raises(NotDelivered, match="no encryption"):
            client(there, user="us").send(mail())
        monkeypatch.setattr("mammo.notifications.mail.LOOPBACK", ())  # as if it were elsewhere
        with pytest.raises(NotDelivered, match="no encryption"):
            client(there).send(mail())
    assert there.logins == []
    assert len(there.mails) == 1


def test_a_wrong_password_is_said_and_never_quoted(tmp_path, monkeypatch):
    with mail_server(tmp_path) as there:
        monkeypatch.setenv("SSL_CERT_FILE", there.certificate)
        with pytest.raises(NotDelivered, match="SMTP_PASSWORD") as refused:
            client(there, user="us", password="wrong-secret").send(mail())
    assert "wrong-secret" not in str(refused.value)


def test_a_refusal_of_the_server_is_its_number_alone(tmp_path):
    with mail_server(tmp_path, tls="none") as there:
        there.refusal = "550 no such Doe^Jane here"
        with pytest.raises(NotDelivered, match="answered 550") as refused:
            client(there).send(mail())
    assert "Jane" not in str(refused.value)


def test_a_server_that_is_away_is_said(tmp_path):
    with mail_server(tmp_path, tls="none") as there:
        pass
    with pytest.raises(NotDelivered, match="SMTP_URL"):
        client(there).send(mail())


@pytest.mark.parametrize(
    "url",
    ["hospital.example", "smtp://", "smtp://me:pass@host", "http://host", "smtp://host:x", "smtp://host/a"],
)
def test_what_is_no_mail_server_is_refused_without_being_repeated(url):
    with pytest.raises(ValidationError, match="without user name and password"):
        Settings(smtp_url=url)


def test_the_port_is_that_of_the_kind_of_encryption():
    for url, port in (("smtp://h", 587), ("smtps://h", 465), ("smtps://h:2525", 2525)):
        made = MailServer.of(Settings(smtp_url=url, smtp_sender="us@h.example"))
        assert made is not None
        assert (made.port, made.tls_from_start) == (port, url.startswith("smtps"))
    assert MailServer.of(Settings(smtp_url="smtp://h")) is None, "without a sender"
