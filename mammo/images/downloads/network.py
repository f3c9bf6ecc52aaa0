"""GuardedNetwork: connects to exactly the IP address that was checked, within a deadline and at a least rate."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterable
from typing import Any

import httpcore

from mammo.errors import ImageUnavailable
from mammo.images.downloads.addresses import AddressRule
from mammo.images.downloads.transfer_rate import TransferRate

Resolve = Callable[[str, int], list[str]]
"""Resolves host and port to numeric addresses; raises OSError."""


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

    def __init__(self, rule: AddressRule, *, rate: TransferRate, resolve: Resolve = resolve) -> None:
        """
        Args:
            rule: allowed addresses.
            rate: limits the time of every step.
            resolve: resolves host names.
        """
        self._rule = rule
        self._rate = rate
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
        failure: Exception = httpcore.ConnectError("no address")
        for address in self._rule.require(host, self._addresses(host, port)):
            try:
                stream = self._sockets.connect_tcp(
                    address, port, timeout=self._rate.step(), socket_options=socket_options
                )
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
            else:
                return _LimitedStream(stream, self._rate)
        raise failure

    def connect_unix_socket(self, path: str, *_: Any, **__: Any) -> httpcore.NetworkStream:
        raise NotImplementedError("downloads use TCP only")

    def _addresses(self, host: str, port: int) -> list[str]:
        """Resolve a name in a thread of its own, because the system's resolver takes no deadline."""
        answer: list[list[str] | Exception] = []

        def ask() -> None:
            try:
                answer.append(self._resolve(host, port))
            except Exception as error:  # raised below, in the thread that asked
                answer.append(error)

        thread = threading.Thread(target=ask, daemon=True, name="resolve")
        thread.start()
        thread.join(self._rate.step())
        if not answer:
            raise httpcore.ConnectTimeout(f"the name {host} was not resolved in time")
        if isinstance(answer[0], OSError | UnicodeError):
            raise ImageUnavailable(
                f"the host {host} of an image cannot be resolved; check its name and the DNS of this machine",
                code="no_address",
            )
        if isinstance(answer[0], Exception):
            raise answer[0]
        return answer[0]


class _LimitedStream(httpcore.NetworkStream):
    """A connection with a deadline and a least rate."""

    def __init__(self, stream: httpcore.NetworkStream, rate: TransferRate) -> None:
        self._stream = stream
        self._rate = rate

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        try:
            content = self._stream.read(max_bytes, timeout=self._rate.wait())
        except httpcore.ReadTimeout:
            raise self._rate.timed_out() from None
        self._rate.received(len(content))
        return content

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, timeout=self._rate.step())
        self._rate.asked()

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        stream = self._stream.start_tls(ssl_context, server_hostname, self._rate.step())
        return _LimitedStream(stream, self._rate)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)
