"""A Label Studio small enough to read: the habits of 1.23.2 that our client has to live with, and nothing else."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import orjson

from mammo.labelstudio.client import LabelStudioClient
from mammo.labelstudio.labeling_config import labeling_config

KEY = "legacy-token"
PERSONAL = "eyJhbGciOi.eyJ0b2tlbl.c2lnbmF0dXJl"
URL = "http://label-studio.test:8080"
RELEASE = "1.23.2"
USER = 1
"""Whose token it is."""

Body = dict[str, Any]
Hook = Callable[[httpx.Request], httpx.Response | None]


class FakeLabelStudio:
    """Answers what `httpx` would send over the network; `log` holds every request."""

    def __init__(self, *, send: Callable[[Body], object] = lambda body: None) -> None:
        """
        Args:
            send: delivers the body of a webhook: of annotations, and of the button that starts a training.
        """
        self.log: list[httpx.Request] = []
        self.projects: dict[int, Body] = {}
        self.tasks: list[Body] = []
        self.predictions: list[Body] = []
        self.backends: list[Body] = []
        self.webhooks: list[Body] = []
        self.storages: list[Body] = []
        """Members of the organization."""

        self.tabs: list[Body] = []
        """In the order in which the page shows them."""
        self.users: list[Body] = [{"id": USER, "email": "one@clinic.example"}]
        self.versions: dict[str, int] = {}
        """Model versions that have predictions, and how many."""

        self.serving = "m0001-aa"
        """What the backend answers to `/setup`."""

        self.refuses_backends = ""
        """Its words for a backend that it cannot use."""

        self.before: Hook = lambda request: None
        """Called with every request that has the token; what it raises or returns comes in place of doing anything."""

        self.after: Hook = lambda request: None
        """Called when a request is carried out; what it raises or returns comes in place of the answer."""

        self._send = send
        self._clock = itertools.count()
        self.access = 0
        """How many access tokens were handed out; only the newest one is good."""

        self.routes: list[tuple[str, str, Callable[..., Any]]] = [
            (
                "GET",
                r"/api/projects/",
                self._list_projects,
            ),
            ("POST", r"/api/projects/", self._create_project),
            ("GET", r"/api/projects/(\d+)/", lambda body, params, number: self.projects.get(int(number))),
            ("PATCH", r"/api/projects/(\d+)/", self._patch_project),
            ("GET", r"/api/projects/(\d+)/model-versions/", lambda body, params, number: self.versions),
            ("GET", r"/api/current-user/whoami", lambda body, params: {"id": USER}),
            ("GET", r"/api/version", lambda body, params: {"release": RELEASE}),
            ("GET", r"/api/jwt/settings", lambda body, params: {"legacy_api_tokens_enabled": True}),
            (
                "PATCH",
                r"/api/users/(\d+)/",
                lambda body, params, number: self._change(self.users, number, body),
            ),
            ("POST", r"/api/projects/(\d+)/import", self._import),
            ("GET", r"/api/tasks", self._list_tasks),
            ("GET", r"/api/tasks/(\d+)/", self._task),
            ("PATCH", r"/api/tasks/(\d+)/", self._patch_task),
            ("GET", r"/api/users/", lambda body, params: self.users),
            ("GET", r"/api/tasks/(\d+)/annotations/", self._annotations),
            ("POST", r"/api/tasks/(\d+)/annotations/", self._annotate),
            ("GET", r"/api/predictions/", self._list_predictions),
            ("POST", r"/api/predictions/", lambda body, params: self._add(self.predictions, body)),
            ("GET", r"/api/storages/localfiles/", lambda body, params: self.storages),
            ("POST", r"/api/storages/localfiles/", lambda body, params: self._add(self.storages, body)),
            ("GET", r"/api/dm/views/", lambda body, params: self.tabs),
            ("POST", r"/api/dm/views/", lambda body, params: self._add(self.tabs, body)),
            (
                "PATCH",
                r"/api/dm/views/(\d+)/",
                lambda body, params, number: self._change(self.tabs, number, body),
            ),
            ("POST", r"/api/dm/views/order/", self._order_tabs),
            ("GET", r"/api/ml/", lambda body, params: of_project(self.backends, params)),
            ("POST", r"/api/ml/", self._connect),
            (
                "PATCH",
                r"/api/ml/(\d+)",
                lambda body, params, number: self._change(self.backends, number, body),
            ),
            ("DELETE", r"/api/ml/(\d+)", self._delete_backend),
            ("GET", r"/api/webhooks/", lambda body, params: of_project(self.webhooks, params)),
            ("POST", r"/api/webhooks/", self._add_webhook),
            ("PATCH", r"/api/webhooks/(\d+)/", self._patch_webhook),
            ("DELETE", r"/api/webhooks/(\d+)/", self._delete_webhook),
        ]

    def add_project(self, number: int, *, config: str | None = None) -> None:
        """A project with our labeling config, or another one."""
        self.projects[number] = {"id": number, "label_config": config or labeling_config()}

    def add_tasks(self, project: int, *data: Body) -> list[Body]:
        """One task of each `data`; their rows, which a test may change."""
        return [self._add(self.tasks, {"project": project, "data": each, "annotations": []}) for each in data]

    def client(self) -> LabelStudioClient:
        return LabelStudioClient(URL, KEY, transport=self.transport)

    def start_training(self, project: int) -> None:
        """Press the button."""
        self._send({"action": "START_TRAINING", "project": {"id": project}})

    @property
    def transport(self) -> httpx.MockTransport:
        return httpx.MockTransport(self.answer)

    def answer(self, request: httpx.Request) -> httpx.Response:
        self.log.append(request)
        if request.url.path == "/health":  # anybody may ask
            return httpx.Response(200, json={"status": "UP"})
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
        return self.before(request) or self._carry_out(request)

    def _carry_out(self, request: httpx.Request) -> httpx.Response:
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
                return self.after(request) or (httpx.Response(204) if content == b"" else as_json(content))
        return httpx.Response(404, json={"detail": "Not found."})

    @staticmethod
    def _page(rows: list[Any], params: dict[str, str], key: str) -> Body | None:
        size, page = int(params["page_size"]), int(params["page"])
        part = rows[(page - 1) * size : page * size]
        return {key: part} if part or page == 1 else None

    @staticmethod
    def _add(rows: list[Body], row: Body) -> Body:
        rows.append({"id": max((known["id"] for known in rows), default=0) + 1, **row})
        return rows[-1]

    @staticmethod
    def _change(rows: list[Body], number: str, body: Body) -> Body:
        (row,) = [known for known in rows if known["id"] == int(number)]
        row.update(body)
        return row

    def _list_projects(self, body: None, params: dict[str, str]) -> Body | None:
        return self._page(list(self.projects.values()), params, "results")

    def _list_tasks(self, body: None, params: dict[str, str]) -> Body | None:
        asked = params.get("project", "")
        rows = [counted(row) | row for row in self.tasks if str(row.get("project", asked)) == asked]
        query = json.loads(params.get("query", "{}"))
        for each in query.get("filters", {"items": []})["items"]:
            rows = [row for row in rows if passes(row, each)]
        return self._page(rows, params, "tasks")

    def _task(self, body: None, params: dict[str, str], number: str) -> Body | None:
        return next((row for row in self.tasks if row["id"] == int(number)), None)

    def _patch_task(self, body: Body, params: dict[str, str], number: str) -> Body:
        return self._change(self.tasks, number, body)

    def _list_predictions(self, body: None, params: dict[str, str]) -> list[Body]:
        return [row for row in self.predictions if row["task"] == int(params["task"])]

    def _annotate(self, body: Body, params: dict[str, str], number: str) -> Body | None:
        """Each a second after the one before."""
        (task,) = [row for row in self.tasks if row["id"] == int(number)]
        moment = (datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=next(self._clock))).isoformat()
        annotation = {
            **body,
            "id": 1000 + sum(len(row.get("annotations", ())) for row in self.tasks),
            "task": task["id"],
            "project": task["project"],
            "completed_by": USER,
            "was_cancelled": False,
            "created_at": moment,
            "updated_at": moment,
        }
        task.setdefault("annotations", []).append(annotation)
        shown = {key: task[key] for key in ("id", "project", "data")}
        project = {"id": task["project"]}
        self._send(
            {"action": "ANNOTATION_CREATED", "annotation": annotation, "task": shown, "project": project}
        )
        return annotation

    def _annotations(self, body: None, params: dict[str, str], number: str) -> list[Body] | None:
        found = [row for row in self.tasks if row["id"] == int(number)]
        return [each for row in found for each in row.get("annotations", ())] if found else None

    def _order_tabs(self, body: Body, params: dict[str, str]) -> Body:
        self.tabs.sort(key=lambda tab: body["ids"].index(tab["id"]))
        return {}

    def _create_project(self, body: Body, params: dict[str, str]) -> Body:
        number = len(self.projects) + 1
        self.projects[number] = {"id": number, **body}
        return self.projects[number]

    def _import(self, body: list[Any], params: dict[str, str], number: str) -> Body:
        made = [self._add(self.tasks, {**task, "project": int(number)})["id"] for task in body]
        return {"task_count": len(made)} | (
            {"task_ids": made} if params.get("return_task_ids") == "true" else {}
        )

    def _connect(self, body: Body, params: dict[str, str]) -> Body | None:
        """Connecting adds a webhook for everything and without any header, unless one to this URL is there."""
        project = self.projects.get(body["project"])
        if project is None:
            return None
        url = body["url"] + "/webhook"
        if not any(hook["url"] == url for hook in of_project(self.webhooks, {"project": str(project["id"])})):
            hook = {
                "url": url,
                "headers": {},
                "actions": [],
                "send_for_all_actions": True,
                "project": body["project"],
            }
            self._add(self.webhooks, hook)
        project["model_version"] = project.get("model_version") or body["title"]
        state = {"state": "CO", "readable_state": "Connected", "basic_auth_pass_is_set": True}
        return self._add(self.backends, body | state | {"model_version": self.serving})

    def _add_webhook(self, body: Body, params: dict[str, str]) -> Body | None:
        """Webhooks of actions that do not exist are refused."""
        return None if "NO_SUCH_ACTION" in body["actions"] else self._add(self.webhooks, body)

    def _patch_project(self, body: Body, params: dict[str, str], number: str) -> Body:
        """It knows the versions that have predictions, and the titles of backends."""
        known = {"", *self.versions, *(row["title"] for row in self.backends)}
        known |= {row["model_version"] for row in self.predictions}
        assert body.get("model_version", "") in known, "Label Studio answers 400"
        self.projects[int(number)].update(body)
        return self.projects[int(number)]

    def _delete_backend(self, body: None, params: dict[str, str], number: str) -> bytes:
        """Its webhook stays behind."""
        self.backends = [row for row in self.backends if row["id"] != int(number)]
        return b""

    def _patch_webhook(self, body: Body, params: dict[str, str], number: str) -> Body:
        """A change without `actions` clears them."""
        return self._change(self.webhooks, number, {"actions": [], **body})

    def _delete_webhook(self, body: None, params: dict[str, str], number: str) -> bytes:
        self.webhooks = [hook for hook in self.webhooks if hook["id"] != int(number)]
        return b""


def passes(row: Body, condition: Body) -> bool:
    """Whether a task meets a condition of a query; the others of Label Studio are not imitated."""
    name, value = condition["filter"].removeprefix("filter:tasks:"), condition["value"]
    match condition["operator"]:
        case "greater":
            return bool(row[name] > value)
        case "equal":
            return bool((row.get(name) or 0) == value)
        case "greater_or_equal" if name == "updated_at":
            return bool(row.get(name, value) >= value)
    raise NotImplementedError(f"the fake knows no condition {condition}")


def of_project(rows: list[Body], params: dict[str, str]) -> list[Body]:
    """The rows of the project that is asked for, or all; one that names no project is of every one."""
    if "project" not in params:
        return list(rows)
    return [row for row in rows if str(row.get("project", params["project"])) == params["project"]]


def counted(task: Body) -> Body:
    """How many annotations a listed task says that it has."""
    cancelled = [bool(each.get("was_cancelled")) for each in task.get("annotations", ())]
    return {"total_annotations": cancelled.count(False), "cancelled_annotations": cancelled.count(True)}


def as_json(content: Any) -> httpx.Response:
    """In ASCII: half a character, which a task may hold, is no UTF-8."""
    return httpx.Response(200, content=json.dumps(content), headers={"Content-Type": "application/json"})
