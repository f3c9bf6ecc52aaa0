"""Inspection: what the checks look at: the installation, Label Studio, one project, the backend."""

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

ASK_SECONDS = 10.0


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, kw_only=True)
class Inspection:
    """One look at everything; what was asked once is not asked again."""

    site: Site

    project: int | None = None
    url: str = ""
    """Where Label Studio reaches the backend, as the caller says; empty when he does not."""

    now: Callable[[], datetime] = _now

    @property
    def settings(self) -> Settings:
        return self.site.settings

    @property
    def client(self) -> LabelStudioClient | None:
        """None when Label Studio's address or key is not set."""
        return self.site.label_studio

    @cached_property
    def described(self) -> dict[str, Any]:
        """The project."""
        assert self.client is not None
        assert self.project is not None
        return self.client.project(self.project)

    @cached_property
    def backends(self) -> list[dict[str, Any]]:
        """ML backends of the project, oldest first; Label Studio has just asked each how it is."""
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
        """Our backend's address: what the caller says, else the project's row of our title, else none."""
        if self.url:
            return self.url.rstrip("/")
        if self.client is None or self.project is None:
            return ""
        ours = [row for row in self.backends if row["title"] == TITLE]
        return str(ours[-1]["url"]).rstrip("/") if ours else ""

    @cached_property
    def health(self) -> dict[str, Any] | None:
        """The backend's `/health`; None when it does not answer here."""
        return self._ask("GET", "/health")

    @cached_property
    def setup(self) -> dict[str, Any] | None:
        """What the backend answers to Label Studio's `/setup`; None when it does not answer here."""
        return self._ask("POST", "/setup")

    def reconnect(self) -> None:
        """Make the ML backend row and the webhook right."""
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

    def _ask(self, method: str, path: str) -> dict[str, Any] | None:
        address = self.backend_url or f"http://{self.settings.host}:{self.settings.port}"
        auth = (self.settings.auth_user, self.settings.auth_password.get_secret_value())
        try:
            answer = httpx.request(
                method, f"{address}{path}", auth=auth, timeout=ASK_SECONDS, trust_env=False
            )
            body = answer.json()
        except (httpx.HTTPError, httpx.InvalidURL, ValueError):
            return None
        return {**body, "status_code": answer.status_code} if isinstance(body, dict) else None
