"""A Label Studio small enough to read: the habits of 1.23.2 that our client has to live with, and nothing else."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import httpx
import orjson

KEY = "legacy-token"
PERSONAL = "eyJhbGciOi.eyJ0b2tlbl.c2lnbmF0dXJl"
URL = "http://label-studio.test:8080"


class FakeLabelStudio:
    """Answers what `httpx` would send over the network; `log` holds every request."""

    def __init__(self) -> None:
        self.log: list[httpx.Request] = []
        self.projects: dict[int, dict[str, Any]] = {}
        self.tasks: list[dict[str, Any]] = []
        self.backends: list[dict[str, Any]] = []
        self.webhooks: list[dict[str, Any]] = []
        self.storages: list[dict[str, Any]] = []
        self.versions: dict[str, int] = {}
        """Model versions that have predictions, and how many."""

        self.serving = "m0001-aa"
        """What the backend answers to `/setup`."""

        self.refuses_backends = ""
        """Its words for a backend that it cannot use."""

        self.access = 0
        """How many access tokens were handed out; only the newest one is good."""

        self.routes: list[tuple[str, str, Callable[..., Any]]] = [
            ("GET", r"/health", lambda body, params: {"status": "UP"}),
            (
                "GET",
                r"/api/projects/",
                self._list_projects,
            ),
            ("POST", r"/api/projects/", self._create_project),
            ("GET", r"/api/projects/(\d+)/", lambda body, params, number: self.projects.get(int(number))),
            ("PATCH", r"/api/projects/(\d+)/", self._patch_project),
            ("GET", r"/api/projects/(\d+)/model-versions/", lambda body, params, number: self.versions),
            ("POST", r"/api/projects/(\d+)/import", self._import),
            ("GET", r"/api/tasks", self._list_tasks),
            ("GET", r"/api/tasks/(\d+)/annotations/", self._annotations),
            ("GET", r"/api/storages/localfiles/", lambda body, params: self.storages),
            ("POST", r"/api/storages/localfiles/", lambda body, params: self._add(self.storages, body)),
            ("GET", r"/api/ml/", lambda body, params: self.backends),
            ("POST", r"/api/ml/", self._connect),
            (
                "PATCH",
                r"/api/ml/(\d+)",
                lambda body, params, number: self._change(self.backends, number, body),
            ),
            ("DELETE", r"/api/ml/(\d+)", self._delete_backend),
            ("GET", r"/api/webhooks/", lambda body, params: self.webhooks),
            ("POST", r"/api/webhooks/", lambda body, params: self._add(self.webhooks, body)),
            ("PATCH", r"/api/webhooks/(\d+)/", self._patch_webhook),
            ("DELETE", r"/api/webhooks/(\d+)/", self._delete_webhook),
        ]

    @property
    def transport(self) -> httpx.MockTransport:
        return httpx.MockTransport(self.answer)

    def answer(self, request: httpx.Request) -> httpx.Response:
        self.log.append(request)
        if request.url.path == "/api/token/refresh/":
            if orjson.loads(request.content) != {"refresh": PERSONAL}:
                return httpx.Response(401, json={"detail": "Token is invalid"})
            self.access += 1
            return httpx.Response(200, json={"access": f"access-{self.access}"})
        if request.headers["Authorization"] not in (f"Token {KEY}", f"Bearer access-{self.access}"):
            return httpx.Response(401, json={"detail": "Invalid token."})
        if self.refuses_backends and (request.method, request.url.path) == ("POST", "/api/ml/"):
            problem = {"validation_errors": {"non_field_errors": [self.refuses_backends]}}
            return httpx.Response(400, json=problem)
        for method, pattern, answer in self.routes:
            match = re.fullmatch(pattern, request.url.path)
            if match and method == request.method:
                uploads = re.findall(rb'filename="([^"]+)"', request.content)
                body = [{"data": {"image": f"/data/upload/1/0123abcd-{each.decode()}"}} for each in uploads]
                if not uploads:
                    body = orjson.loads(request.content) if request.content else None
                content = answer(body, dict(request.url.params), *match.groups())
                if content is None:
                    return httpx.Response(404, json={"detail": "Invalid page."})
                return httpx.Response(204) if content == b"" else httpx.Response(200, json=content)
        return httpx.Response(404, json={"detail": "Not found."})

    @staticmethod
    def _page(rows: list[Any], params: dict[str, str], key: str) -> dict[str, Any] | None:
        size, page = int(params["page_size"]), int(params["page"])
        part = rows[(page - 1) * size : page * size]
        return {key: part} if part or page == 1 else None

    @staticmethod
    def _add(rows: list[dict[str, Any]], row: dict[str, Any]) -> dict[str, Any]:
        rows.append({"id": max((known["id"] for known in rows), default=0) + 1, **row})
        return rows[-1]

    @staticmethod
    def _change(rows: list[dict[str, Any]], number: str, body: dict[str, Any]) -> dict[str, Any]:
        (row,) = [known for known in rows if known["id"] == int(number)]
        row.update(body)
        return row

    def _list_projects(self, body: None, params: dict[str, str]) -> dict[str, Any] | None:
        return self._page(list(self.projects.values()), params, "results")

    def _list_tasks(self, body: None, params: dict[str, str]) -> dict[str, Any] | None:
        asked = params.get("project", "")
        return self._page(
            [row for row in self.tasks if str(row.get("project", asked)) == asked], params, "tasks"
        )

    def _annotations(self, body: None, params: dict[str, str], number: str) -> list[dict[str, Any]] | None:
        tasks = [row for row in self.tasks if row["id"] == int(number)]
        return [each for row in tasks for each in row.get("annotations", ())] if tasks else None

    def _create_project(self, body: dict[str, Any], params: dict[str, str]) -> dict[str, Any]:
        number = len(self.projects) + 1
        self.projects[number] = {"id": number, **body}
        return self.projects[number]

    def _import(self, body: list[Any], params: dict[str, str], number: str) -> dict[str, Any]:
        ids = [self._add(self.tasks, {**task, "project": int(number)})["id"] for task in body]
        return {"task_count": len(ids)} | (
            {"task_ids": ids} if params.get("return_task_ids") == "true" else {}
        )

    def _connect(self, body: dict[str, Any], params: dict[str, str]) -> dict[str, Any]:
        """Connecting adds a webhook for everything and without any header, unless one to this URL is there."""
        url = body["url"] + "/webhook"
        if not any(hook["url"] == url for hook in self.webhooks):
            hook = {
                "url": url,
                "headers": {},
                "actions": [],
                "send_for_all_actions": True,
                "project": body["project"],
            }
            self._add(self.webhooks, hook)
        project = self.projects[body["project"]]
        project["model_version"] = project.get("model_version") or body["title"]
        return self._add(self.backends, body | {"model_version": self.serving})

    def _patch_project(self, body: dict[str, Any], params: dict[str, str], number: str) -> dict[str, Any]:
        """It knows the versions that have predictions, and the titles of backends."""
        displayable = {"", *self.versions, *(row["title"] for row in self.backends)}
        assert body.get("model_version", "") in displayable, "Label Studio answers 400"
        self.projects[int(number)].update(body)
        return self.projects[int(number)]

    def _delete_backend(self, body: None, params: dict[str, str], number: str) -> bytes:
        """Its webhook stays behind."""
        self.backends = [row for row in self.backends if row["id"] != int(number)]
        return b""

    def _patch_webhook(self, body: dict[str, Any], params: dict[str, str], number: str) -> dict[str, Any]:
        """A change without `actions` clears them."""
        return self._change(self.webhooks, number, {"actions": [], **body})

    def _delete_webhook(self, body: None, params: dict[str, str], number: str) -> bytes:
        self.webhooks = [hook for hook in self.webhooks if hook["id"] != int(number)]
        return b""
