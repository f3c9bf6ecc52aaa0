"""Listener: accepts connections as far as there is room and there are file descriptors.

asyncio's own listener accepts as many connections at a time as the kernel has queued, before any of them can be
refused, and logs every error: without a free descriptor, megabytes of lines a second.
"""

from __future__ import annotations

import asyncio
import errno
import select
import socket
from collections.abc import Callable

import structlog

from backend.connections.protocol import GuardedProtocol
from backend.connections.table import REPORT_SECONDS, ConnectionTable

BACKLOG = 2048
"""Connections that the kernel queues."""

MAX_AT_ONCE = 32
"""Connections accepted before the event loop does something else."""

PAUSE_SECONDS = 0.05
"""Until the next try, when there is neither room nor a descriptor."""

EXHAUSTED = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)

log = structlog.get_logger()


class Listener:
    """Accepts the connections of one listening socket."""

    def __init__(
        self,
        listening: socket.socket,
        make_protocol: Callable[[str], GuardedProtocol],
        table: ConnectionTable,
    ) -> None:
        """
        Args:
            make_protocol: takes the address of a client.
        """
        self._socket = listening
        self._make_protocol = make_protocol
        self._table = table
        self._loop = asyncio.get_running_loop()
        self._waiting = select.poll()
        self._waiting.register(listening, select.POLLIN)
        self._starting: set[asyncio.Task[None]] = set()
        self._pause: asyncio.TimerHandle | None = None
        self._logged_at = -REPORT_SECONDS

    def start(self) -> None:
        self._pause = None
        self._loop.add_reader(self._socket, self._accept)

    def close(self) -> None:
        """Accept no more. Accepted connections go on."""
        self._loop.remove_reader(self._socket)
        if self._pause:
            self._pause.cancel()
        self._socket.close()

    def _accept(self) -> None:
        """Accept the connections that wait."""
        for _ in range(MAX_AT_ONCE):
            if self._table.is_full:
                if not self._waiting.poll(0):
                    return  # nobody is displaced for nothing
                if not self._table.displace():
                    self._wait()
                    return
            try:
                connection, address = self._socket.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                if error.errno not in EXHAUSTED:
                    raise
                self._exhausted(error)
                return
            connection.setblocking(False)
            protocol = self._make_protocol(str(address[0]))
            # Now and not when it is ready, so that the next one does not take its place meanwhile.
            self._table.add(protocol)
            task = self._loop.create_task(self._serve(connection, protocol))
            self._starting.add(task)
            task.add_done_callback(self._starting.discard)

    async def _serve(self, connection: socket.socket, protocol: GuardedProtocol) -> None:
        try:
            await self._loop.connect_accepted_socket(lambda: protocol, connection)
        except OSError:  # the client has closed it already
            self._table.remove(protocol)
            connection.close()

    def _exhausted(self, error: OSError) -> None:
        self._table.displace()
        now = self._table.clock()
        if now - self._logged_at >= REPORT_SECONDS:
            self._logged_at = now
            log.error(
                "no connection can be accepted",
                reason=errno.errorcode[error.errno or 0],
                open=len(self._table),
            )
        self._wait()

    def _wait(self) -> None:
        self._loop.remove_reader(self._socket)
        self._pause = self._loop.call_later(PAUSE_SECONDS, self.start)
