"""How model versions, and the person at the keyboard, are named on the command line."""

from __future__ import annotations

import getpass
import socket

from mammo.errors import ModelNotFound
from mammo.models import CHALLENGER, CHAMPION, PREVIOUS, AliasName, ModelRegistry

ALIASES: dict[str, AliasName] = {"champion": CHAMPION, "challenger": CHALLENGER, "previous": PREVIOUS}


def find_version(registry: ModelRegistry, name: str) -> str:
    """A version by its name, by the beginning of its name, or by an alias.

    Raises:
        ModelNotFound: none or several are called so.
    """
    if name in ALIASES:
        found = registry.alias(ALIASES[name])
        if found is None:
            raise ModelNotFound(f"there is no {name} yet")
        return found.version
    versions = registry.versions()
    if name in versions:
        return name
    matching = [version for version in versions if name and version.startswith(name)]
    if len(matching) != 1:
        what = "several model versions begin" if matching else "no model version begins"
        raise ModelNotFound(f"{what} with {name!r}; there are: {', '.join(versions[-20:])}")
    return matching[0]


def who() -> str:
    """Who types, as far as the machine knows, for the history."""
    return f"{getpass.getuser()}@{socket.gethostname()}"
