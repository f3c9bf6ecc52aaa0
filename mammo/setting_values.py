"""Checks of settings that are texts with a form of their own; each returns its value or raises ValueError."""

from __future__ import annotations

import re
from ipaddress import ip_network
from urllib.parse import urlsplit
from zoneinfo import available_timezones

from pydantic import SecretStr


def networks(value: str) -> str:
    """Networks such as `10.2.0.0/16`, comma separated."""
    for entry in filter(None, (each.strip() for each in value.split(","))):
        ip_network(entry, strict=False)
    return value


def digests(value: SecretStr) -> SecretStr:
    """SHA-256 digests in hexadecimal, comma separated."""
    for digest in filter(None, (each.strip() for each in value.get_secret_value().split(","))):
        if not re.fullmatch(r"[0-9a-fA-F]{64}", digest):
            raise ValueError(
                "expected SHA-256 digests of 64 hexadecimal digits, comma separated, not the keys themselves"
            )
    return value


def hours(value: str) -> str:
    """Two different times of the day, such as `07:00-19:00`, or nothing."""
    if value and not re.fullmatch(r"(([01]\d|2[0-3]):[0-5]\d)-(?!\1)([01]\d|2[0-3]):[0-5]\d", value):
        raise ValueError("expected two different hours such as 07:00-19:00")
    return value


def zone(value: str) -> str:
    """The name of a time zone."""
    if value not in available_timezones():
        raise ValueError("expected the name of a time zone, such as Europe/Zurich")
    return value


def pins(value: str) -> str:
    """Model versions by project, `<project>=<version>`, comma separated."""
    for entry in filter(None, (each.strip() for each in value.split(","))):
        project, _, version = entry.partition("=")
        if not project.strip().isdigit() or not version.strip():
            raise ValueError("expected <project>=<model version>, comma separated")
    return value


def project_ids(value: str) -> str:
    """Project ids, comma separated."""
    if not all(each.strip().isdecimal() for each in value.split(",") if each.strip()):
        raise ValueError("expected project ids, comma separated")
    return value


def mail_server(value: str) -> str:
    """`smtp://host:port` or `smtps://host:port`, or nothing; user and password have their own settings."""
    try:
        url = urlsplit(value)
        plain = url.scheme in ("smtp", "smtps") and bool(url.hostname) and "@" not in url.netloc
        rest = url.path not in ("", "/") or bool(url.query or url.fragment) or url.port == 0
    except ValueError:  # the port is no number
        plain, rest = False, False
    if value and (not plain or rest):
        raise ValueError("expected smtp://HOST:PORT or smtps://HOST:PORT, without user name and password")
    return value


def mail_address(value: str) -> str:
    """One e-mail address without a display name, or nothing."""
    if value and not re.fullmatch(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9.-]{1,190}", value):
        raise ValueError("expected one e-mail address such as admin@hospital.example")
    return value


def dicomweb_address(value: str) -> str:
    """An address without user name, password, query or fragment, and without a slash at its end; or nothing."""
    try:
        url = urlsplit(value)
        plain = url.scheme in ("http", "https") and bool(url.hostname) and "@" not in url.netloc
        rest = (
            bool(url.query or url.fragment)
            or url.port == 0
            or bool(re.search(r"[\s\\{}]|[^\x21-\x7e]", value))
        )
    except ValueError:  # the port is no number
        plain, rest = False, False
    if value and (not plain or rest):
        raise ValueError(
            "expected an address such as https://HOST:PORT/dicom-web, without user name, password and query"
        )
    return value.rstrip("/")


def header_secret(value: SecretStr) -> SecretStr:
    """A password or token that a header can contain, without the white space around it that files end with."""
    text = value.get_secret_value().strip()
    if any(ord(character) < 32 or ord(character) == 127 for character in text):
        raise ValueError(
            "it contains a newline, a tab or another control character, which no header can contain"
        )
    return SecretStr(text)
