"""GuardedNetwork: connects to exactly the IP address that was checked, and enforces a deadline."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Callable, Iterable
from typing import Any

import httpcore

from mammo.errors import ImageUnavailable
from mammo.images.downloads.addresses import AddressRule

Resolve = Callable[[str, int], list[str]]
"""Resolves host and port to numeric addresses; raises OSError."""

STEP_SECONDS = 20.0
"""Maximum time for one step of a download: a connection, a read or a write."""


def resolve(host: str, port: int) -> list[str]:
    """Resolve a host name with the system's resolver, which also parses `2130706433`, `0x7f.1` and `0177.0.0.1`."""
    try:
        entries = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except UnicodeError:
        # A label of the name is empty or too long.
        raise socket.gaierror(socket.EAI_NONAME, "not a host name") from None
    return list(dict.fromkeys(str(entry[4][0]) for entry in entries))


class GuardedNetwork(httpcore.NetworkBackend):
    """Network backend of one download. It resolves a name once, because a second answer could differ."""

    def __init__(self, rule: AddressRule, *, deadline: float, resolve: Resolve = resolve) -> None:
        """
        Args:
            rule: allowed addresses.
            deadline: on the clock of `time.monotonic`; nothing is sent or received after it.
            resolve: resolves host names.
        """
        self._rule = rule
        self._deadline = deadline
        self._resolve = resolve
        self._sockets = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        try:
            addresses = self._resolve(host, port)
        except (OSError, UnicodeError):
            raise ImageUnavailable(
                f"the host {host} of an image cannot be resolved; check its name and the DNS of this machine",
                code="no_address",
            ) from None
        failure: Exception = httpcore.ConnectError("no address")
        for address in self._rule.require(host, addresses):
            try:
                stream = self._sockets.connect_tcp(
                    address, port, timeout=_remaining(self._deadline), socket_options=socket_options
                )
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
            else:
                return _LimitedStream(stream, self._deadline)
        raise failure

    def connect_unix_socket(self, path: str, *_: Any, **__: Any) -> httpcore.NetworkStream:
        raise NotImplementedError("downloads use TCP only")


class _LimitedStream(httpcore.NetworkStream):
    """A connection with a deadline."""

    def __init__(self, stream: httpcore.NetworkStream, deadline: float) -> None:
        self._stream = stream
        self._deadline = deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, timeout=_remaining(self._deadline))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, timeout=_remaining(self._deadline))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        timeout = _remaining(self._deadline)
        return _LimitedStream(self._stream.start_tls(ssl_context, server_hostname, timeout), self._deadline)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


def _remaining(deadline: float) -> float:
    remaining = deadline - time.monotonic()
    if remaining <= 0:
        raise httpcore.ReadTimeout("the deadline of this download has passed")
    return min(remaining, STEP_SECONDS)
