"""A project in the real Label Studio, connected to our HTTP service on stand-ins, for tests that set traps."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

import cv2
import httpx
import numpy as np
import uvicorn

from cli.demo.label_studio_server import LabelStudioServer
from cli.doctor.command import examine, repair
from mammo.doctor.diagnosis import Diagnosis
from mammo.doctor.inspection import Inspection
from mammo.labelstudio import LabelStudioClient
from mammo.settings import Settings
from tests.backend.fakes import Backend
from tests.sites import site_of


@contextmanager
def serving(settings: Settings, port: int) -> Iterator[Backend]:
    """Our real HTTP application on a real port; model, store and images are stand-ins."""
    backend = Backend(
        changes={
            "auth_password": settings.auth_password.get_secret_value(),
            "webhook_secret": settings.webhook_secret.get_secret_value(),
        }
    )
    config = uvicorn.Config(backend.client.app, host="127.0.0.1", port=port, log_level="warning")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.02)
    try:
        yield backend
    finally:
        server.should_exit = True
        thread.join()


@dataclass
class Ward:
    """What a doctor's test works with."""

    label_studio: LabelStudioServer
    client: LabelStudioClient
    settings: Settings
    backend: Backend
    url: str
    project: int

    def look(self, **changes: Any) -> Inspection:
        """An inspection that has asked nothing yet; `settings` and `client` may be others than the ward's."""
        site = site_of(
            changes.pop("settings", self.settings), label_studio=changes.pop("client", self.client)
        )
        return Inspection(site=site, **({"project": self.project, "url": self.url} | changes))

    def broken(self, **changes: Any) -> dict[str, Diagnosis]:
        """What doctor finds broken, by check."""
        return {each.check: each for each in examine(self.look(**changes)) if each.state == "broken"}

    def repaired(self, **changes: Any) -> dict[str, str]:
        """State by check, after --fix."""
        return {each.check: each.state for each in repair(partial(self.look, **changes))}

    def with_settings(self, **changes: Any) -> Settings:
        return self.settings.model_copy(update=changes)

    def push(self, version: str) -> None:
        """A prediction of a version on the first task."""
        (task, *_) = self.client.first_tasks(self.project, 1)
        self.client.push_prediction(task["id"], {"result": [], "score": 0.5, "model_version": version})


def picture(value: int = 90) -> bytes:
    """A small grey PNG."""
    pixels = np.full((120, 160), value, np.uint8)
    pixels[40:60, 50:80] = 230
    return bytes(cv2.imencode(".png", pixels)[1].tobytes())


def personal_token(server: LabelStudioServer) -> str:
    """Log in as a person does, and make a personal access token."""
    with httpx.Client(base_url=server.url, trust_env=False, timeout=60, follow_redirects=True) as browser:
        browser.get("/user/login/")
        form = {
            "email": server.email,
            "password": server.password,
            "csrfmiddlewaretoken": browser.cookies["csrftoken"],
        }
        browser.post("/user/login/", data=form, headers={"Referer": server.url})
        headers = {"X-CSRFToken": browser.cookies["csrftoken"], "Referer": server.url}
        for known in browser.get("/api/token/").json():  # a user has one
            browser.post("/api/token/blacklist/", json={"refresh": known["token"]}, headers=headers)
        answer = browser.post("/api/token/", headers=headers)
        return str(answer.raise_for_status().json()["token"])


def hours_ahead(hours: int) -> Any:
    return lambda: datetime.fromtimestamp(time.time() + 3600 * hours, UTC)


def hook_of(ward: Ward) -> dict:
    (hook,) = [each for each in ward.client.webhooks(ward.project) if each["url"].startswith(ward.url)]
    return hook


def change_hook(ward: Ward, **changes: object) -> None:
    hook = hook_of(ward)
    row = {key: hook[key] for key in ("url", "headers", "actions", "send_payload", "send_for_all_actions")}
    ward.client.call("PATCH", f"/api/webhooks/{hook['id']}/", json={**row, "is_active": True, **changes})


def expect_fixed(ward: Ward, check: str, *words: str) -> None:
    """The trap is named; --fix mends it; then nothing is broken."""
    found = ward.broken()
    assert check in found, found
    line = found[check].line()
    for word in (*words, "→"):
        assert word in line, line
    assert "\n" not in line
    assert ward.repaired()[check] in ("fixed", "ok")
    assert ward.broken() == {}
