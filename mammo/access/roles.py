"""Roles of people and of programs. Each may do what the one before it may, and more."""

from __future__ import annotations

import re
from typing import Literal

from mammo.errors import InvalidAccess

Role = Literal["viewer", "lead", "administrator"]

ROLES: tuple[Role, ...] = ("viewer", "lead", "administrator")
"""`viewer` reads; `lead` also sends cases back and changes stages; `administrator` also starts runs, moves models and
manages users."""

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,63}")


def includes(role: Role, required: Role) -> bool:
    """Return whether a role may do what `required` may."""
    return ROLES.index(role) >= ROLES.index(required)


def require_name(name: str) -> str:
    """Return a name of a user or a key.

    Raises:
        InvalidAccess: it has other characters than these, or too many.
    """
    if not NAME.fullmatch(name):
        raise InvalidAccess(
            f"{name[:80]!r} is no name: use 1 to 64 letters, digits and . _ @ + -, and begin with a letter or a digit"
        )
    return name
