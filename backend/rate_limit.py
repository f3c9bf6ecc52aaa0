"""RateLimit: limits the different wrong secrets per minute and address.

Clients behind one proxy, such as all annotators of one Label Studio, share an address. Requests with the right secret
are therefore not blocked by wrong secrets from the same address.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable
from ipaddress import IPv6Address, ip_address, ip_network

from cachetools import LRUCache
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from backend.auth import is_open
from backend.error_table import answer
from mammo.labelstudio.client import SECRET_HEADER

MAX_WRONG_SECRETS = 20
"""Different wrong secrets per minute and address. A repeated one comes from a badly connected project, and must not
block the events of other projects on the same Label Studio."""

MAX_ADDRESSES = 10_000

NETWORK_BITS = 64
"""Prefix length of an IPv6 network, whose addresses belong to one client."""


class Buckets:
    """Token buckets by name. Each holds the tokens of one minute. Safe to share between threads."""

    def __init__(self, per_minute: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_minute = per_minute
        self._clock = clock
        self._lock = threading.Lock()
        self._levels: LRUCache[str, tuple[float, float]] = LRUCache(MAX_ADDRESSES)

    def wait(self, name: str) -> float:
        """Return the seconds until a token is available; 0 if one is."""
        with self._lock:
            missing = 1 - self._level(name)
        return max(0.0, missing * 60 / self._per_minute)

    def take(self, name: str) -> None:
        with self._lock:
            self._levels[name] = (max(self._level(name) - 1, 0.0), self._clock())

    def spend(self, name: str) -> bool:
        """Take a token if one is available; return whether one was."""
        if self.wait(name):
            return False
        self.take(name)
        return True

    def _level(self, name: str) -> float:
        level, at = self._levels.get(name, (float(self._per_minute), self._clock()))
        return min(level + (self._clock() - at) * self._per_minute / 60, float(self._per_minute))


class RateLimit:
    """Responds with 429 and `Retry-After` when an address has used up its guesses."""

    def __init__(self, app: ASGIApp, *, is_exempt: Callable[[str, Headers], bool]) -> None:
        """
        Args:
            is_exempt: takes path and headers; whether they have a right secret, which is not blocked by wrong ones.
        """
        self._app = app
        self._is_exempt = is_exempt
        self._guesses = Buckets(MAX_WRONG_SECRETS)
        self._wrong: LRUCache[tuple[str, bytes], None] = LRUCache(MAX_ADDRESSES)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        address = client_network((scope.get("client") or ("unknown", 0))[0])
        exempt = scope.get("caller") is not None or self._is_exempt(scope["path"], Headers(scope=scope))
        wait = 0.0 if exempt else self._guesses.wait(address)
        if wait and not is_open(scope["path"]):
            headers = {"Retry-After": str(int(wait) + 1)}
            refusal = answer(
                "too_many_requests", "too many requests; retry later", status=429, headers=headers
            )
            await refusal(scope, receive, send)
            return

        async def watched(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] == 401:
                self._note(address, Headers(scope=scope))
            await send(message)

        await self._app(scope, receive, watched)

    def _note(self, address: str, headers: Headers) -> None:
        secrets = f"{headers.get('Authorization', '')}\n{headers.get(SECRET_HEADER, '')}"
        guess = (address, hashlib.sha256(secrets.encode()).digest())
        if guess not in self._wrong:
            self._guesses.take(address)
        self._wrong[guess] = None


def client_network(client: str) -> str:
    """Return an IPv4 address, or the IPv6 network that belongs to one client."""
    try:
        address = ip_address(client)
    except ValueError:
        return client
    if not isinstance(address, IPv6Address):
        return client
    if address.ipv4_mapped:
        return str(address.ipv4_mapped)
    return str(ip_network((int(address), NETWORK_BITS), strict=False))
