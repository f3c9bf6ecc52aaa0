"""NotificationService: notices what happened, sends what is due, and repeats what failed."""

from __future__ import annotations

import shutil
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import structlog
from pydantic import SecretStr
from sqlalchemy.engine import Engine

from mammo.database import reading
from mammo.errors import InvalidSettings, LabelStudioError, NotDelivered
from mammo.images.downloads import AddressRule
from mammo.labelstudio import LabelStudioClient
from mammo.notifications.channels import Channel, Channels, NewChannel
from mammo.notifications.conditions import disk_notice, disk_position, last_corrections, silences
from mammo.notifications.journals import journals, new_notices
from mammo.notifications.mail import MailServer, compose
from mammo.notifications.notice import TEST, Notice
from mammo.notifications.outbox import Message, Outbox
from mammo.notifications.webhook import post, signing_key, written_key
from mammo.settings import PREFIX, Settings

LOOK_EVERY = timedelta(minutes=5)
"""Interval at which silence is looked for, which reads all events."""

NOTE_DAYS = 7
"""Days for which a notice is in the notes of new predictions."""

MAX_NOTES = 3
"""Maximum number of notices in one note; the newest ones."""

log = structlog.get_logger()


@dataclass
class NotificationService:
    """Notifications of one site. Safe to use from several threads and processes."""

    channels: Channels
    outbox: Outbox
    engine: Engine
    secret: SecretStr
    """From which the signing keys are derived; empty: there are no webhook channels."""

    rule: AddressRule
    """Addresses to which webhooks may be sent."""

    mail_server: MailServer | None
    client: LabelStudioClient | None
    """Label Studio, to know whether a project has tasks left; None: every project has."""

    folder: Path
    """Folder whose disk is watched."""

    host: str = field(default_factory=socket.gethostname)
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    free_bytes: Callable[[Path], int] = lambda folder: shutil.disk_usage(folder).free
    _looked_at: datetime = field(default=datetime.min.replace(tzinfo=UTC), init=False)

    @classmethod
    def of(
        cls, settings: Settings, *, engine: Engine, client: LabelStudioClient | None
    ) -> NotificationService:
        """Return the service of a site."""
        return cls(
            channels=Channels(engine),
            outbox=Outbox(engine),
            engine=engine,
            secret=settings.notification_secret,
            rule=AddressRule.parse(settings.private_networks),
            mail_server=MailServer.of(settings),
            client=client,
            folder=settings.data_dir,
        )

    def add(self, new: NewChannel, *, actor: str) -> Channel:
        """Add a channel.

        Raises:
            InvalidChannel: its target or a topic is not one, or it exists.
            InvalidSettings: a setting is missing without which nothing could be sent.
        """
        if new.kind == "webhook":
            self._require_secret()
        if new.kind == "email" and self.mail_server is None:
            raise InvalidSettings(f"set {PREFIX}SMTP_URL and {PREFIX}SMTP_SENDER: e-mail needs a mail server")
        return self.channels.add(new, actor=actor)

    def written_key(self, channel: Channel) -> str:
        """Return the key with which the receiver of a webhook verifies signatures.

        Raises:
            InvalidSettings: the channel is no webhook, or there is no secret to derive it from.
        """
        if channel.kind != "webhook":
            raise InvalidSettings(f"channel {channel.id} is no webhook; only webhooks are signed")
        return written_key(signing_key(self._require_secret(), channel.id))

    def round(self) -> None:
        """Notice what happened, and send what is due."""
        self.notice()
        self.send()

    def notice(self) -> int:
        """Put what happened since the last call into the outbox; return the number of new messages."""
        channels, now = self.channels.all(), self.clock()
        cursors = self.outbox.cursors()
        moved: dict[str, int] = {}
        notices: list[Notice] = []
        with reading(self.engine) as connection:
            for journal in journals():
                after = cursors.get(journal.name, 0)
                found, cursor = new_notices(connection, journal, after=after, now=now)
                notices += found
                moved |= {journal.name: cursor} if cursor > after else {}
        notices += self._disk(cursors, moved, now)
        deliveries = [
            (channel, notice) for notice in notices for channel in channels if channel.wants(notice)
        ]
        deliveries += self._silences(channels, now)
        return self.outbox.add(deliveries, now=now, cursors=moved)

    def send(self) -> int:
        """Send what is due; return how many messages were delivered. One failure spares its channel until later."""
        channels = {each.id: each for each in self.channels.all()}
        delivered, failing = 0, set[int]()
        for waiting in self.outbox.due(now=self.clock()):
            if waiting.channel in failing or waiting.channel not in channels:
                continue
            message = self.outbox.claim(waiting, now=self.clock())
            if message is None:
                continue
            if self._attempt(message, channels[message.channel]):
                delivered += 1
            else:
                failing.add(message.channel)
        return delivered

    def test(self, number: int) -> Message:
        """Send a test to a channel now, once; return its message, which says how it ended.

        Raises:
            InvalidChannel: there is no such channel.
        """
        channel, now = self.channels.get(number), self.clock()
        notice = Notice(
            event=f"test-{now.isoformat()}",
            topic=TEST,
            project=channel.project,
            at=now,
            text="This is a test: messages of this channel arrive.",
        )
        message = self.outbox.get(self.outbox.add_test(channel, notice, now=now))
        self._attempt(message, channel, final=True)
        return self.outbox.get(message.id)

    def notes(self, project: int | None) -> list[str]:
        """Return what the notes of a project's new predictions say, newest first."""
        numbers = {each.id for each in self.channels.all() if each.kind == "note"}
        since = self.clock() - timedelta(days=NOTE_DAYS)
        texts: list[str] = []
        for message in self.outbox.newest(limit=200) if numbers and project is not None else ():
            mine = message.project in (None, project) and message.channel in numbers
            if (
                mine
                and message.state == "delivered"
                and message.created_at >= since
                and message.topic != TEST
            ):
                text = f"{message.created_at:%Y-%m-%d}: {message.content['text']}"
                texts += [] if text in texts else [text]
        return texts[:MAX_NOTES]

    def _attempt(self, message: Message, channel: Channel, *, final: bool = False) -> bool:
        """Make one attempt to deliver a claimed message, and record its outcome."""
        try:
            self._deliver(message, channel)
        except NotDelivered as error:
            end = final or error.code == "gone"
            self.outbox.failed(message, str(error), now=self.clock(), final=end)
            log.warning(
                "a notification was not delivered",
                channel=channel.id,
                message=message.message,
                attempt=message.attempts,
                code=error.code,
            )
            return False
        self.outbox.delivered(message, now=self.clock())
        log.info("notification delivered", channel=channel.id, message=message.message, topic=message.topic)
        return True

    def _deliver(self, message: Message, channel: Channel) -> None:
        """Raises NotDelivered: the receiver did not take it."""
        if channel.kind == "webhook":
            try:
                key = signing_key(self._require_secret(), channel.id)
            except InvalidSettings as error:
                raise NotDelivered(str(error), code="no_secret") from None
            post(
                channel.target,
                message.body,
                message=message.message,
                key=key,
                rule=self.rule,
                now=self.clock(),
            )
        elif channel.kind == "email":
            if self.mail_server is None:
                raise NotDelivered(
                    f"{PREFIX}SMTP_URL or {PREFIX}SMTP_SENDER is not set", code="no_mail_server"
                )
            mail = compose(
                message.content,
                message=message.message,
                sender=self.mail_server.sender,
                recipient=channel.target,
                channel=channel.id,
                at=message.created_at,
            )
            self.mail_server.send(mail)
        # A note needs no delivery: `notes` reads the outbox.

    def _require_secret(self) -> str:
        secret = self.secret.get_secret_value()
        if not secret:
            raise InvalidSettings(
                f"set {PREFIX}NOTIFICATION_SECRET: webhooks are signed; make one with "
                "`python -c 'import secrets; print(secrets.token_urlsafe(32))'`"
            )
        return secret

    def _disk(self, cursors: dict[str, int], moved: dict[str, int], now: datetime) -> list[Notice]:
        """Return the notice that the disk has become nearly full, once for each time."""
        name = f"disk-{self.host}"[:120]
        try:
            free = self.free_bytes(self.folder)
        except OSError as error:  # the other notices are sent all the same
            log.warning("the free space of the data folder cannot be read", error=type(error).__name__)
            return []
        before = cursors.get(name, 0)
        position = disk_position(before, free=free)
        if position == before:
            return []
        moved[name] = position
        return [disk_notice(self.host, position, free=free, now=now)] if position % 2 else []

    def _silences(self, channels: Sequence[Channel], now: datetime) -> list[tuple[Channel, Notice]]:
        if now - self._looked_at < LOOK_EVERY or not channels:
            return []
        self._looked_at = now
        with reading(self.engine) as connection:
            last = last_corrections(connection)
        return silences(channels, last, is_done=self._is_done, now=now)

    def _is_done(self, project: int) -> bool:
        """Whether a project has no task left, or was deleted. If Label Studio does not answer, silence is news."""
        if self.client is None:
            return False
        try:
            answer = self.client.project(project)
        except LabelStudioError as error:
            return error.code == "label_studio_404"
        tasks, annotated = answer.get("task_number"), answer.get("num_tasks_with_annotations")
        return isinstance(tasks, int) and isinstance(annotated, int) and annotated >= tasks
