"""RateLimit: so many different wrong secrets a minute from one address.

Who shows the right secret does not pay for others that share his address, as all annotators of one Label Studio and
everybody behind one proxy do: guesses do not shut him out.
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

from backend.error_table import answer
from mammo.labelstudio.client import SECRET_HEADER

WRONG_SECRETS = 20
"""Different wrong secrets a minute from one address. The same one again is a project that is not connected right, and
must not take the events of the others on that Label Studio with it."""

MAX_ADDRESSES = 10_000

NETWORK_BITS = 64
"""Of an IPv6 address: who has one has all that begin so."""

NEVER_LIMITED = ("/health", "/")
"""They need no secret."""


class Buckets:
    """Token buckets by name: each holds a minute's worth and fills evenly. Safe to share between threads."""

    def __init__(self, per_minute: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_minute = per_minute
        self._clock = clock
        self._lock = threading.Lock()
        self._levels: LRUCache[str, tuple[float, float]] = LRUCache(MAX_ADDRESSES)

    def wait(self, name: str) -> float:
        """Seconds until there is a token; 0 when there is one now."""
        with self._lock:
            missing = 1 - self._level(name)
        return max(0.0, missing * 60 / self._per_minute)

    def take(self, name: str) -> None:
        with self._lock:
            self._levels[name] = (max(self._level(name) - 1, 0.0), self._clock())

    def _level(self, name: str) -> float:
        level, at = self._levels.get(name, (float(self._per_minute), self._clock()))
        return min(level + (self._clock() - at) * self._per_minute / 60, float(self._per_minute))


class RateLimit:
    """Answers 429 with `Retry-After` when an address has used up its guesses."""

    def __init__(self, app: ASGIApp, *, is_never_shut_out: Callable[[str, Headers], bool]) -> None:
        """
        Args:
            is_never_shut_out: whether headers hold what opens a path, and are let in whatever others tried.
        """
        self._app = app
        self._is_never_shut_out = is_never_shut_out
        self._guesses = Buckets(WRONG_SECRETS)
        self._wrong: LRUCache[tuple[str, bytes], None] = LRUCache(MAX_ADDRESSES)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        address = _place((scope.get("client") or ("unknown", 0))[0])
        right = self._is_never_shut_out(scope["path"], Headers(scope=scope))
        wait = 0.0 if right else self._guesses.wait(address)
        if wait and scope["path"] not in NEVER_LIMITED:
            headers = {"Retry-After": str(int(wait) + 1)}
            refusal = answer("too_many_requests", "slow down", status=429, headers=headers)
            await refusal(scope, receive, send)
            return

        async def watched(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] == 401:
                self._note(address, Headers(scope=scope))
            await send(message)

        await self._app(scope, receive, watched)

    def _note(self, address: str, headers: Headers) -> None:
        shown = f"{headers.get('Authorization', '')}\n{headers.get(SECRET_HEADER, '')}"
        guess = (address, hashlib.sha256(shown.encode()).digest())
        if guess not in self._wrong:
            self._guesses.take(address)
        self._wrong[guess] = None


def _place(client: str) -> str:
    """An address, or the network whose addresses are all one client's."""
    try:
        address = ip_address(client)
    except ValueError:
        return client
    if not isinstance(address, IPv6Address):
        return client
    if address.ipv4_mapped:
        return str(address.ipv4_mapped)
    return str(ip_network((int(address), NETWORK_BITS), strict=False))
