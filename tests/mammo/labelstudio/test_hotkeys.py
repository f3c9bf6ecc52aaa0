"""Keys of accounts: which are refused, and that an account's other keys stay."""

from __future__ import annotations

import json

import httpx
import pytest

from mammo.errors import InvalidSettings
from mammo.labelstudio import LabelStudioClient
from mammo.labelstudio.descriptor_controls import KEYS
from mammo.labelstudio.hotkeys import ACTIONS, members, page_keys, parse_keys, set_keys
from tests.fakes.label_studio import KEY, URL, FakeLabelStudio

SUBMIT, _ = ACTIONS["submit"]


@pytest.fixture
def server() -> FakeLabelStudio:
    server = FakeLabelStudio()
    server.users = [
        {"id": 1, "email": "admin@example.com", "custom_hotkeys": {}},
        {"id": 2, "email": "Reader@example.com", "custom_hotkeys": {"tools:tool:brush": {"key": "b"}}},
    ]
    return server


def test_an_account_gets_its_keys_and_keeps_its_others(server: FakeLabelStudio) -> None:
    client = server.client()
    (member,) = members(client, ["reader@example.com"])
    assert member.key("submit") is None
    changed = set_keys(client, member, parse_keys(["submit=space", "delete=delete"]), reset=False)
    assert (changed.key("submit"), changed.key("delete"), changed.key("undo")) == ("space", "delete", None)
    assert server.users[1]["custom_hotkeys"]["tools:tool:brush"] == {"key": "b"}
    assert server.users[0]["custom_hotkeys"] == {}
    (again,) = members(client, ["reader@example.com"])
    set_keys(client, again, {}, reset=True)
    assert server.users[1]["custom_hotkeys"] == {"tools:tool:brush": {"key": "b"}}


def test_only_what_is_asked_for_is_sent(server: FakeLabelStudio) -> None:
    client = LabelStudioClient(URL, KEY, transport=server.transport)
    set_keys(client, members(client, ["admin@example.com"])[0], {"submit": "space"}, reset=False)
    (sent,) = [each for each in server.log if each.method == "PATCH"]
    assert isinstance(sent, httpx.Request)
    assert json.loads(sent.content) == {"custom_hotkeys": {SUBMIT: {"key": "space", "active": True}}}


@pytest.mark.parametrize(
    ("pairs", "reason"),
    [
        (["submit"], "expected a key"),
        (["save=space"], "with an action of submit"),
        (["submit=<script>"], "expected a key"),
        (["submit=1"], "uses the key '1' itself"),
        (["delete=i"], "uses the key 'i' itself"),
        (["submit=space", "skip=space"], "two actions"),
        (["submit=backspace"], "two actions"),
    ],
)
def test_keys_that_would_not_work_are_refused(pairs: list[str], reason: str) -> None:
    with pytest.raises(InvalidSettings, match=reason):
        parse_keys(pairs)


def test_actions_may_exchange_their_keys() -> None:
    assert parse_keys(["submit=ctrl+space", "skip=ctrl+enter"]) == {
        "submit": "ctrl+space",
        "skip": "ctrl+enter",
    }


def test_the_page_of_an_exam_has_keys_of_its_own() -> None:
    words = {key for keys in KEYS.values() for key in keys.values()}
    assert page_keys() == {"0", "1", "2", "5", "6", "7", "8", "9", "i", "u"} | words


def test_an_account_that_is_no_member_is_named(server: FakeLabelStudio) -> None:
    with pytest.raises(InvalidSettings, match=r"no member somebody@example.com"):
        members(server.client(), ["somebody@example.com"])
