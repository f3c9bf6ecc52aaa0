"""Log-ins of tests."""

from __future__ import annotations

import re
from typing import Any

from starlette.testclient import TestClient

from backend.app import create_app
from mammo.access.roles import Role
from tests.backend.fakes import Backend
from tests.waiting import until

PASSWORD = "a long enough password"
HTML = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


def add_user(backend: Backend, name: str, role: Role = "viewer") -> None:
    backend.services.site.access.users.add(name, role, password=PASSWORD, actor="a test")


def browser(backend: Backend, role: Role | None = None, *, name: str = "anna") -> TestClient:
    """A browser, in which a new user with this role has logged in."""
    client = TestClient(create_app(backend.services), raise_server_exceptions=False, headers=HTML)
    if role is not None:
        add_user(backend, name, role)
        assert log_in(client, name).status_code == 303
    return client


def log_in(client: TestClient, name: str, password: str = PASSWORD, **fields: str) -> Any:
    form = {"name": name, "password": password, **fields}
    return client.post("/console/login", data=form, follow_redirects=False)


def token_in(page: str) -> str:
    found = re.search(r'name="csrf" value="([0-9a-f]{64})"', page)
    assert found
    return found[1]


def page_at_rest(client: TestClient, path: str) -> str:
    """Return a page once everything on it is there: what takes long is made in the background."""
    page = ""

    def is_complete() -> bool:
        nonlocal page
        page = client.get(path).text
        return "reload in a moment" not in page

    until(is_complete)
    return page


def submit(client: TestClient, path: str, *, on: str, **fields: str) -> Any:
    """Send a form of the page `on`."""
    form = {"csrf": token_in(client.get(on).text), **fields}
    return client.post(path, data=form, follow_redirects=False)
