"""Who types a command."""

from __future__ import annotations

import getpass
import socket


def current_user() -> str:
    """Return user and host, for the history."""
    return f"{getpass.getuser()}@{socket.gethostname()}"
