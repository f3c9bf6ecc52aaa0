"""Requests of this machine."""

from __future__ import annotations

from ipaddress import ip_address

from starlette.datastructures import URL
from starlette.types import Scope


def is_local(scope: Scope) -> bool:
    """Whether a request comes from this machine and addresses it by a loopback name.

    No page of another site can do both.
    """
    client = scope.get("client")
    if client is None or not is_loopback(client[0]):
        return False
    try:
        return is_loopback(URL(scope=scope).hostname or "")
    except ValueError:  # a Host header such as `[`
        return False


def is_loopback(host: str) -> bool:
    """Whether a host name or address is a loopback one."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
