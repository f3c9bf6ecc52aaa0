"""A right secret opens, however the program that sends it writes it: Label Studio (`requests`), curl, browsers."""

from __future__ import annotations

import base64
import hashlib
import unicodedata

import pytest
import requests
from starlette.datastructures import Headers

from backend.credentials import has_key, has_webhook_secret
from mammo.labelstudio.client import SECRET_HEADER
from tests.backend.fakes import Backend, settings

TEXTS = ["Gehärtet-2026-ß", "contraseña-ÑÇ-año", "plain-password", "§±÷-signs-°µ", "Gehärtet:with:colons"]


def basic(user: bytes, password: bytes) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(user + b":" + password).decode()}


def as_label_studio_sends(user: str, password: str) -> dict[str, str]:
    prepared = requests.Request("GET", "http://backend/versions", auth=(user, password)).prepare()
    return {"Authorization": prepared.headers["Authorization"]}


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("configured", ["NFC", "NFD"])
def test_a_right_password_opens_in_either_encoding_and_form(text: str, configured: str) -> None:
    user = "jürgen" if not text.isascii() else "label-studio"
    changes = {"auth_password": unicodedata.normalize(configured, text), "auth_user": user}
    backend = Backend(changes=changes)
    apart = unicodedata.normalize("NFD", text)
    for sent in (
        as_label_studio_sends(user, text),
        basic(user.encode(), text.encode()),
        basic(user.encode("latin-1"), text.encode()),
        basic(unicodedata.normalize("NFD", user).encode(), apart.encode()),
    ):
        assert backend.client.get("/versions", headers=sent).status_code == 200, sent


@pytest.mark.parametrize(
    "wrong", ["Gehartet-2026-ß", "Gehärtet-2026-ss", "gehärtet-2026-ß", "Gehärtet-2026-", "Geh?rtet-2026-?", ""]
)  # fmt: skip
def test_a_similar_password_does_not(wrong: str) -> None:
    backend = Backend(changes={"auth_password": TEXTS[0]})
    for encoding in ("utf-8", "latin-1", "utf-16"):
        sent = basic(b"label-studio", wrong.encode(encoding))
        assert backend.client.get("/versions", headers=sent).status_code == 401


@pytest.mark.parametrize(
    "header", ["Basic", "Basic ", "Basic !", "Basic ä", "Basic 4pyT", "Basic gICA", "Digest x", "basic"]
)  # fmt: skip
def test_what_is_no_basic_auth_is_refused(header: str) -> None:
    answer = Backend().client.get("/versions", headers={"Authorization": header.encode("latin-1")})
    assert answer.status_code == 401


def carrying(name: str, value: bytes) -> Headers:
    """As a web server hands them over; the test client would write everything in UTF-8."""
    return Headers(raw=[(name.lower().encode(), value)])


@pytest.mark.parametrize("text", TEXTS)
def test_a_right_webhook_secret_opens_in_either_encoding(text: str) -> None:
    configured = settings(webhook_secret=text)
    for sent in (text.encode("latin-1"), text.encode(), unicodedata.normalize("NFD", text).encode()):
        assert has_webhook_secret(carrying(SECRET_HEADER, sent), configured)
        assert not has_webhook_secret(carrying(SECRET_HEADER, sent + b"x"), configured)
        assert not has_webhook_secret(carrying(SECRET_HEADER, sent[:-1]), configured)
    assert not has_webhook_secret(Headers(), settings(webhook_secret=""))


@pytest.mark.parametrize("key", ["k" * 43, "schlüssel-für-prometheus-2026", "钥匙" * 10])
def test_a_right_key_opens_whatever_encoding_it_is_sent_in(key: str) -> None:
    """Its digest is of UTF-8 where a shell made it; programs send Latin-1, where it can hold the text."""
    configured = settings(api_keys=hashlib.sha256(key.encode()).hexdigest())
    sent = [key.encode(), unicodedata.normalize("NFD", key).encode()]
    sent += [key.encode("latin-1")] if key.isascii() or "ü" in key else []
    for each in sent:
        assert has_key(carrying("Authorization", b"Bearer " + each), configured)
        assert not has_key(carrying("Authorization", b"Bearer " + each + b"x"), configured)


def test_the_very_bytes_that_were_digested_open() -> None:
    key = bytes(range(0x21, 0x7F)) + bytes(range(0xA1, 0x100))
    configured = settings(api_keys=hashlib.sha256(key).hexdigest())
    assert has_key(carrying("Authorization", b"bearer " + key), configured)
