"""Server: uvicorn's server, with our listener and connections, and with no trust in its environment."""

from __future__ import annotations

import socket
import sys
from functools import partial
from ipaddress import ip_network

import uvicorn
from starlette.types import ASGIApp
from uvicorn.config import STARTUP_FAILURE

from backend.auth import is_exempt_from_guess_limit
from backend.connections.from_proxy import FromProxy
from backend.connections.limits import ConnectionLimits
from backend.connections.listener import BACKLOG, Listener
from backend.connections.protocol import GuardedProtocol, IsTrusted
from backend.connections.table import ConnectionTable
from backend.metrics import Metrics
from mammo.errors import InvalidSettings
from mammo.settings import PREFIX, Settings

TICKS = 3
"""uvicorn's ticks of 0.1 s between two looks at the deadlines."""


class Server(uvicorn.Server):
    """Serves on sockets that are already bound; its `run` needs them."""

    def __init__(self, config: uvicorn.Config, table: ConnectionTable, *, is_trusted: IsTrusted) -> None:
        super().__init__(config)
        self._table = table
        self._is_trusted = is_trusted
        self._listeners: list[Listener] = []

    @classmethod
    def of(cls, app: ASGIApp, settings: Settings, metrics: Metrics, *, limits: ConnectionLimits) -> Server:
        """Build the server of an application."""
        named = filter(None, (each.strip() for each in settings.trusted_proxies.split(",")))
        proxies = [str(ip_network(each, strict=False)) for each in named]
        config = uvicorn.Config(
            FromProxy(app, proxies),
            loop="asyncio",
            http="h11",
            ws="none",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,  # by `FromProxy`: uvicorn trusts loopback, and the variable FORWARDED_ALLOW_IPS
            timeout_graceful_shutdown=30,
        )
        trusted = partial(is_exempt_from_guess_limit, settings=settings)
        return cls(config, ConnectionTable(limits, metrics), is_trusted=trusted)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        assert sockets
        await self.lifespan.startup()
        if self.lifespan.should_exit:
            sys.exit(STARTUP_FAILURE)
        make = partial(
            GuardedProtocol,
            self.config,
            self.server_state,
            self.lifespan.state,
            table=self._table,
            is_trusted=self._is_trusted,
        )
        self._listeners = [Listener(each, make, self._table) for each in sockets]
        for listener in self._listeners:
            listener.start()
        self.servers = []
        self._log_started_message(sockets)
        self.started = True

    async def on_tick(self, counter: int) -> bool:
        if counter % TICKS == 0:
            self._table.close_late()
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for listener in self._listeners:
            listener.close()
        await super().shutdown(sockets)


def bind(host: str, port: int) -> list[socket.socket]:
    """Return a listening socket for each address of a host; an empty host is every address.

    Raises:
        InvalidSettings: the host is unknown, or its port is in use.
    """
    sockets: list[socket.socket] = []
    try:
        found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        for family, address in dict.fromkeys((each[0], each[4]) for each in found):
            sockets.append(socket.create_server(address, family=family, backlog=BACKLOG))
    except OSError as error:
        for each in sockets:
            each.close()
        raise InvalidSettings(
            f"cannot listen on {PREFIX}HOST={host} and {PREFIX}PORT={port}: {error.strerror}; is it served already?"
        ) from None
    for each in sockets:
        each.setblocking(False)
    return sockets
