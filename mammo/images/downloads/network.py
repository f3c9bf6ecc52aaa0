"""GuardedNetwork: connects to exactly the address that was checked, and gives up when time is over."""

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
"""Host and port to numeric addresses; raises OSError."""

STEP_SECONDS = 20.0
"""Longest silence of a server."""


def resolve(host: str, port: int) -> list[str]:
    """Ask the system. It also reads the forms that hide an address: `2130706433`, `0x7f.1`, `0177.0.0.1`."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except UnicodeError:  # longer than a name may be
        raise socket.gaierror(socket.EAI_NONAME, "no name of a host") from None
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


class GuardedNetwork(httpcore.NetworkBackend):
    """One download's way to the network. A name is asked for once a connection: a second answer could differ."""

    def __init__(self, rule: AddressRule, *, deadline: float, resolve: Resolve = resolve) -> None:
        """
        Args:
            deadline: of `time.monotonic`; nothing is sent or read after it.
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
            raise ImageUnavailable(f"an image's server {host} has no address", code="no_address") from None
        failure: Exception = httpcore.ConnectError("no address")
        for address in self._rule.require(host, addresses):
            try:
                stream = self._sockets.connect_tcp(
                    address, port, timeout=_left(self._deadline), socket_options=socket_options
                )
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
            else:
                return _LimitedStream(stream, self._deadline)
        raise failure

    def connect_unix_socket(self, path: str, *_: Any, **__: Any) -> httpcore.NetworkStream:
        raise NotImplementedError("no download comes from a unix socket")


class _LimitedStream(httpcore.NetworkStream):
    """A connection that knows until when it may be used."""

    def __init__(self, stream: httpcore.NetworkStream, deadline: float) -> None:
        self._stream = stream
        self._deadline = deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, timeout=_left(self._deadline))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, timeout=_left(self._deadline))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        left = _left(self._deadline)
        return _LimitedStream(self._stream.start_tls(ssl_context, server_hostname, left), self._deadline)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise httpcore.ReadTimeout("the time for this download is over")
    return min(left, STEP_SECONDS)
