"""Inspection: what the checks examine: the installation, Label Studio, one project, the backend."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

import httpx

from mammo.labelstudio import LabelStudioClient
from mammo.labelstudio.project_connection import TITLE
from mammo.settings import Settings
from mammo.site import Site

TIMEOUT = 10.0
"""Seconds for the backend to answer."""


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, kw_only=True)
class Inspection:
    """The state of an installation. Every answer is requested once and cached."""

    site: Site

    project: int | None = None
    url: str = ""
    """Address at which Label Studio reaches the backend; empty: as the project's settings say."""

    now: Callable[[], datetime] = _now

    @property
    def settings(self) -> Settings:
        return self.site.settings

    @property
    def client(self) -> LabelStudioClient | None:
        """None if Label Studio's address or API key is not set."""
        return self.site.label_studio

    @cached_property
    def described(self) -> dict[str, Any]:
        """The project, as Label Studio's API describes it."""
        assert self.client is not None
        assert self.project is not None
        return self.client.project(self.project)

    @cached_property
    def backends(self) -> list[dict[str, Any]]:
        """ML backends of the project, oldest first; Label Studio has just checked the health of each."""
        assert self.client is not None
        assert self.project is not None
        return self.client.backends(self.project)

    @cached_property
    def webhooks(self) -> list[dict[str, Any]]:
        """Webhooks of the project, oldest first."""
        assert self.client is not None
        assert self.project is not None
        return self.client.webhooks(self.project)

    @cached_property
    def backend_url(self) -> str:
        """Address of our backend: `url`, else that of the project's ML backend with our title, else empty."""
        if self.url:
            return self.url.rstrip("/")
        if self.client is None or self.project is None:
            return ""
        ours = [row for row in self.backends if row["title"] == TITLE]
        return str(ours[-1]["url"]).rstrip("/") if ours else ""

    @cached_property
    def health(self) -> dict[str, Any] | None:
        """The backend's `/health`; None if it does not answer this machine."""
        return self._request("GET", "/health")

    @cached_property
    def setup(self) -> dict[str, Any] | None:
        """The backend's `/setup`; None if it does not answer this machine."""
        return self._request("POST", "/setup")

    def reconnect(self) -> None:
        """Repair the project's ML backend and webhook."""
        assert self.client is not None
        assert self.project is not None
        self.client.connect_backend(
            self.project,
            self.backend_url,
            user=self.settings.auth_user,
            password=self.settings.auth_password.get_secret_value(),
            webhook_secret=self.settings.webhook_secret.get_secret_value(),
        )

    @property
    def can_reconnect(self) -> bool:
        secrets = (self.settings.auth_password, self.settings.webhook_secret)
        return bool(self.backend_url) and all(secret.get_secret_value() for secret in secrets)

    def _request(self, method: str, path: str) -> dict[str, Any] | None:
        address = self.backend_url or f"http://{self.settings.host}:{self.settings.port}"
        auth = (self.settings.auth_user, self.settings.auth_password.get_secret_value())
        try:
            response = httpx.request(method, f"{address}{path}", auth=auth, timeout=TIMEOUT, trust_env=False)
            body = response.json()
        except (httpx.HTTPError, httpx.InvalidURL, ValueError):
            return None
        return {**body, "status_code": response.status_code} if isinstance(body, dict) else None
