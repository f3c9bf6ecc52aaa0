"""`yolo-mlsam project hotkeys`: keys of accounts in Label Studio's editor."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from mammo.errors import InvalidSettings
from mammo.labelstudio.hotkeys import ACTIONS, Member, members, parse_keys, set_keys
from mammo.site import Site


def show_hotkeys(
    emails: Sequence[str], pairs: Sequence[str], *, reset: bool, site: Site, console: Console
) -> None:
    """Print the keys of accounts, after setting those that are given.

    Raises:
        InvalidSettings: an account, an action or a key is unknown, or keys are given without an account.
        LabelStudioError: Label Studio does not answer or refuses.
    """
    keys = parse_keys(pairs)
    if (keys or reset) and not emails:
        raise InvalidSettings("name the accounts whose keys are to be set, by their e-mail addresses")
    for member in members(site.client, emails):
        changed = set_keys(site.client, member, keys, reset=reset) if keys or reset else member
        console.print(Text(_line(changed)))
    if keys or reset:
        console.print("Label Studio's pages take the keys when they are loaded again.")


def _line(member: Member) -> str:
    own = [f"{action} {key}" for action in ACTIONS if (key := member.key(action)) is not None]
    return f"{member.email}: {', '.join(own) or 'the keys of the installation'}"
