"""E-mail by SMTP, encrypted unless the mail server is on this machine."""

from __future__ import annotations

import smtplib
from dataclasses import dataclass
from datetime import datetime
from email.message import EmailMessage
from email.utils import format_datetime
from typing import Any
from urllib.parse import urlsplit

from pydantic import SecretStr

from mammo.errors import NotDelivered
from mammo.labelstudio.connection import trusted_certificates
from mammo.notifications.notice import subject
from mammo.settings import PREFIX, Settings

SECONDS = 10.0
"""Time limit of each step: connection, greeting, log-in, message."""

PORTS = {"smtp": 587, "smtps": 465}
LOOPBACK = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True, kw_only=True)
class MailServer:
    """A mail server, and how to log in to it."""

    host: str
    port: int
    tls_from_start: bool
    """Otherwise STARTTLS."""

    user: str
    password: SecretStr
    sender: str

    @classmethod
    def of(cls, settings: Settings) -> MailServer | None:
        """Return the mail server of the settings; None if it or the sender is not set."""
        if not settings.smtp_url or not settings.smtp_sender:
            return None
        url = urlsplit(settings.smtp_url)
        return cls(
            host=url.hostname or "",
            port=url.port or PORTS[url.scheme],
            tls_from_start=url.scheme == "smtps",
            user=settings.smtp_user,
            password=settings.smtp_password,
            sender=settings.smtp_sender,
        )

    def send(self, mail: EmailMessage) -> None:
        """Send an e-mail.

        Raises:
            NotDelivered: the server does not answer, offers no encryption, or refuses; the message quotes nothing of
                its answer but the number.
        """
        try:
            with self._connect() as server:
                if self.user:
                    server.login(self.user, self.password.get_secret_value())
                server.send_message(mail)
        except smtplib.SMTPAuthenticationError:
            raise NotDelivered(
                f"the mail server refused the log-in: check {PREFIX}SMTP_USER and {PREFIX}SMTP_PASSWORD",
                code="smtp_login",
            ) from None
        except smtplib.SMTPRecipientsRefused as error:
            numbers = sorted({number for number, _ in error.recipients.values()})
            raise NotDelivered(f"the mail server refused the recipient {numbers}", code="recipient") from None
        except smtplib.SMTPResponseException as error:
            raise NotDelivered(f"the mail server answered {error.smtp_code}", code="smtp") from None
        except (smtplib.SMTPException, OSError) as error:
            raise NotDelivered(
                f"the mail server cannot be used ({type(error).__name__}); check {PREFIX}SMTP_URL",
                code="smtp",
            ) from None

    def _connect(self) -> smtplib.SMTP:
        context = trusted_certificates()
        if self.tls_from_start:
            return smtplib.SMTP_SSL(self.host, self.port, timeout=SECONDS, context=context)
        server = smtplib.SMTP(self.host, self.port, timeout=SECONDS)
        try:
            server.ehlo()
            if server.has_extn("starttls"):
                server.starttls(context=context)
            elif self.host not in LOOPBACK or self.user:
                raise NotDelivered(
                    "the mail server offers no encryption (STARTTLS), and neither notices nor a password are sent "
                    "without it",
                    code="no_tls",
                )
        except BaseException:
            server.close()
            raise
        return server


def compose(
    body: dict[str, Any], *, message: str, sender: str, recipient: str, channel: int, at: datetime
) -> EmailMessage:
    """Return the e-mail of a notice.

    Args:
        body: as `Notice.body` writes it.
        message: id of the message; the Message-ID of every attempt is made of it.
        channel: number of the channel, to say how to leave it.
        at: time of the notice's message.
    """
    mail = EmailMessage()
    mail["Subject"] = f"[Yolo-MLSAM] {subject(body)}"
    mail["From"] = sender
    mail["To"] = recipient
    mail["Date"] = format_datetime(at)
    mail["Message-ID"] = f"<{message}@{sender.rpartition('@')[2]}>"
    mail["Auto-Submitted"] = "auto-generated"
    facts = "\n".join(f"{name}: {value}" for name, value in body["facts"].items())
    lines = (
        body["text"],
        facts,
        f"To end these messages: yolo-mlsam notifications remove {channel}",
    )
    mail.set_content("\n\n".join(line for line in lines if line) + "\n")
    return mail
