"""Hotkeys: keys of an account in Label Studio's editor, where they differ from those of the installation.

Label Studio has keys for everybody (the environment variable `EDITOR_KEYMAP`, read when it starts) and for an account.
An administrator may set those of every member of the organization.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from mammo.errors import InvalidSettings, LabelStudioError
from mammo.labelstudio.client import LabelStudioClient
from mammo.labelstudio.config_xml import parse_config
from mammo.labelstudio.exam_config import NO_KEY, exam_config

ACTIONS = {
    "submit": ("annotation:annotation:submit", "ctrl+enter"),
    "skip": ("annotation:annotation:skip", "ctrl+space"),
    "undo": ("annotation:annotation:undo", "ctrl+z"),
    "redo": ("annotation:annotation:redo", "ctrl+shift+z"),
    "delete": ("regions:region:delete", "backspace"),
    "link": ("regions:region:relation", "alt+r"),
    "hide": ("regions:region:visibility-all", "ctrl+h"),
    "unselect": ("regions:region:exit", "escape"),
}
"""Name of an action -> Label Studio's name of it, and its key without any setting (1.23)."""

_KEY = re.compile(
    r"((ctrl|alt|shift|command|meta)\+){0,3}"
    r"([a-z0-9]|f([1-9]|1[0-9])|enter|space|delete|backspace|escape|tab|home|end|insert|pageup|pagedown"
    r"|up|down|left|right|[-.,;'/\[\]`=])"
)


@dataclass(frozen=True)
class Member:
    """An account of Label Studio's organization."""

    id: int
    email: str
    keys: Mapping[str, Any]
    """`custom_hotkeys` as Label Studio stores them."""

    def key(self, action: str) -> str | None:
        """Return the account's own key of an action; None: it has that of the installation."""
        custom = self.keys.get(ACTIONS[action][0])
        return str(custom.get("key")) if isinstance(custom, Mapping) and custom.get("active", True) else None


def parse_keys(pairs: Iterable[str]) -> dict[str, str]:
    """Return the key of each action from `ACTION=KEY`, such as `submit=space`.

    Raises:
        InvalidSettings: an action or a key is unknown, two actions have one key, or the page of an exam has it.
    """
    keys: dict[str, str] = {}
    for pair in pairs:
        action, _, key = (part.strip().lower() for part in pair.partition("="))
        if action not in ACTIONS:
            raise InvalidSettings(f"expected ACTION=KEY with an action of {', '.join(ACTIONS)}; got {pair!r}")
        if not _KEY.fullmatch(key):
            raise InvalidSettings(
                f"expected a key such as space, delete, shift+enter or f2 for {action!r}; got {key!r}"
            )
        if key in page_keys():
            raise InvalidSettings(
                f"the page of an exam uses the key {key!r} itself; choose another for {action!r}"
            )
        keys[action] = key
    of_each = {**{action: key for action, (_, key) in ACTIONS.items()}, **keys}
    if doubled := {key for key in keys.values() if list(of_each.values()).count(key) > 1}:
        raise InvalidSettings(
            f"two actions would have the key {', '.join(sorted(doubled))}; give each its own"
        )
    return keys


def page_keys() -> frozenset[str]:
    """Return the keys of prompts, hangings, looks and words on the page of an exam."""
    root = parse_config(exam_config())
    return frozenset(key for tag in root.iter() if (key := tag.get("hotkey")) and key != NO_KEY)


def members(client: LabelStudioClient, emails: Iterable[str] = ()) -> list[Member]:
    """Return the members of the organization with some e-mail addresses; all without any.

    Raises:
        InvalidSettings: there is no such member.
        LabelStudioError: Label Studio does not answer, or the token may not list members.
    """
    answer = client.call("GET", "/api/users/")
    if not isinstance(answer, list):
        raise LabelStudioError("expected a list of members from Label Studio")
    everybody = {
        str(each["email"]).lower(): Member(
            int(each["id"]), str(each["email"]), each.get("custom_hotkeys") or {}
        )
        for each in answer
    }
    wanted = [each.strip().lower() for each in emails]
    if unknown := [each for each in wanted if each not in everybody]:
        raise InvalidSettings(
            f"Label Studio's organization has no member {', '.join(unknown)}; it has {', '.join(sorted(everybody))}"
        )
    return [everybody[each] for each in dict.fromkeys(wanted or sorted(everybody))]


def set_keys(client: LabelStudioClient, member: Member, keys: Mapping[str, str], *, reset: bool) -> Member:
    """Set keys of an account; those of other actions stay as they are.

    Args:
        client: of an administrator.
        member: the account.
        keys: key of each action.
        reset: first take away the account's own keys of all actions in `ACTIONS`.

    Raises:
        LabelStudioError: Label Studio refuses.
    """
    ours = {name for name, _ in ACTIONS.values()}
    custom = {name: value for name, value in member.keys.items() if not (reset and name in ours)}
    custom |= {ACTIONS[action][0]: {"key": key, "active": True} for action, key in keys.items()}
    answer = client.call("PATCH", f"/api/users/{member.id}/", json={"custom_hotkeys": custom})
    return Member(member.id, member.email, answer.get("custom_hotkeys") or {})
