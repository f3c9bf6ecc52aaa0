"""Callers: who sends a request to the console or the API, and in which role.

A caller is a console user with a session, one whom a trusted proxy names, a program with an API key, or, with
`--insecure`, whoever sits at this machine.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from typing import Literal

import anyio.to_thread
from starlette.datastructures import Headers
from starlette.requests import cookie_parser
from starlette.types import ASGIApp, Receive, Scope, Send

from backend.credentials import bearer_keys, has_key
from backend.error_table import answer, status_of
from backend.local import is_local
from backend.services import Services
from mammo.access.roles import Role
from mammo.errors import MammoError

COOKIE = "yolo_mlsam_session"
CSRF_HEADER = "X-CSRF-Token"

PEOPLES_PATHS = ("/console", "/api/v1", "/docs")
"""Paths, and what is below them, that ask for a caller instead of Label Studio's secrets."""

_OWN_KEY = secrets.token_bytes(32)
"""Signs form tokens where no secret is set, which only `--insecure` allows."""


@dataclass(frozen=True)
class Caller:
    """Who sends a request."""

    name: str
    """As the audit trail names it."""

    role: Role
    kind: Literal["session", "proxy", "key", "local"]
    csrf: str
    """Token that every form of this caller carries, and every unsafe request of a browser to the API."""

    @property
    def is_browser(self) -> bool:
        """Whether a browser authenticates this caller by itself."""
        return self.kind in ("session", "proxy")


class Identify:
    """Finds the caller of a request, and puts it into the scope as `caller`; None if nobody is recognised."""

    def __init__(self, app: ASGIApp, *, services: Services) -> None:
        self._app = app
        self._services = services

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        try:
            scope["caller"] = await self._caller(scope)
        except MammoError as error:
            refusal = answer(error.code, str(error), status=status_of(error))
            await refusal(scope, receive, send)
            return
        await self._app(scope, receive, send)

    async def _caller(self, scope: Scope) -> Caller | None:
        headers, settings = Headers(scope=scope), self._services.settings
        if not is_for_people(scope["path"]):
            # Label Studio's own requests, by far the most, read no database here.
            keys = [] if has_key(headers, settings) else bearer_keys(headers)
            return await anyio.to_thread.run_sync(self._of_key, keys) if keys else None
        if self._services.insecure and is_local(scope):
            return self._make("local", "administrator", "local", "local")
        if has_key(headers, settings):
            return self._make("key of the settings", "administrator", "key", "key")
        return await anyio.to_thread.run_sync(self._recognised, scope, headers)

    def _recognised(self, scope: Scope, headers: Headers) -> Caller | None:
        if keys := bearer_keys(headers):
            return self._of_key(keys)
        access, settings = self._services.site.access, self._services.settings
        if settings.user_header and scope.get("from_proxy") and (name := headers.get(settings.user_header)):
            user = access.users.find(name.strip())
            return self._make(user.name, user.role, "proxy", f"proxy {user.name}") if user else None
        cookie = cookie_parser(headers.get("Cookie", "")).get(COOKIE)
        if cookie and (user := access.sessions.find(cookie)):
            return self._make(user.name, user.role, "session", f"session {cookie}")
        return None

    def _of_key(self, keys: list[str]) -> Caller | None:
        key = self._services.site.access.keys.find(keys)
        return self._make(f"key {key.name}", key.role, "key", "key") if key else None

    def _make(
        self, name: str, role: Role, kind: Literal["session", "proxy", "key", "local"], identity: str
    ) -> Caller:
        settings = self._services.settings
        own = settings.auth_password.get_secret_value() + settings.webhook_secret.get_secret_value()
        token = hmac.new(own.encode() or _OWN_KEY, f"form of {identity}".encode(), hashlib.sha256)
        return Caller(name, role, kind, token.hexdigest())


def is_for_people(path: str) -> bool:
    """Whether a path belongs to the console or the API."""
    return any(path == each or path.startswith(each + "/") for each in PEOPLES_PATHS)


def has_token(caller: Caller, token: str) -> bool:
    """Whether a form or a header has the caller's token."""
    return hmac.compare_digest(caller.csrf.encode(), token.encode("utf-8", "replace"))
