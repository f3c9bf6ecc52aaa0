"""Settings of notifications; a part of `mammo.settings.Settings`."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, SecretStr
from pydantic_settings import BaseSettings

from mammo.setting_values import mail_address, mail_server


class NotificationSettings(BaseSettings):
    """How word gets out: the key of signed webhooks, and the mail server."""

    notification_secret: SecretStr = SecretStr("")
    """Secret from which each webhook channel's signing key is derived; required for webhook channels."""

    smtp_url: Annotated[str, AfterValidator(mail_server)] = ""
    """Mail server: `smtp://host:587` (STARTTLS, required unless it is on this machine) or `smtps://host:465` (TLS)."""

    smtp_user: str = ""
    """User name at the mail server; empty: none is sent."""

    smtp_password: SecretStr = SecretStr("")
    """Password at the mail server."""

    smtp_sender: Annotated[str, AfterValidator(mail_address)] = ""
    """Sender of e-mail notifications, for example `yolo-mlsam@hospital.example`; required for e-mail."""
