"""Our backend behind the server of the `label-studio-ml` package, for teams that host all their backends with it.

Only this file is imported there: it passes requests on to a backend of ours (`ADAPTER_BACKEND_URL`), with the
caller's own credentials, so that predictions, model versions and the webhook inbox are the same ones and no second
copy of the networks is loaded. See `docs/adr/0004-label-studio-ml-as-an-adapter.md`.

    gunicorn "backend.label_studio_ml_adapter:app()"

Works with 1.0.9 (the index's), and follows the public source of 2.x, which is on no index. The package's own ways are
kept where they work: for setup, predictions and clicks. 1.0.9 loses webhooks, 2.x drops those that are not for
training, and both show tracebacks to callers: `app` sees to these.
"""

from __future__ import annotations

import json
import os
from typing import Any

import requests
from flask import Response, g, has_request_context, request
from label_studio_ml import api  # type: ignore[import-not-found]
from label_studio_ml import model as package
from label_studio_ml.model import LabelStudioMLBase  # type: ignore[import-not-found]

URL = "ADAPTER_BACKEND_URL"
PASSED_ON = ("Authorization", "X-Yolo-Mlsam-Secret")
SECONDS = 110
"""Longest wait for an answer; Label Studio itself gives up after 100."""

PASSED_WHOLE = {("POST", "/webhook"), ("GET", "/versions"), ("GET", "/health"), ("GET", "/")}
"""What is about no model goes to our backend as it came: every event into the inbox, and a health that is ours."""


class BackendRefusal(Exception):
    """Our backend answered with an error, or not at all (`status` 502)."""

    def __init__(self, status: int, code: str) -> None:
        super().__init__(f"the backend behind this adapter answered {status} ({code}); see its log")
        self.status = status
        self.code = code


class YoloMlsam(LabelStudioMLBase):  # type: ignore[misc]
    """A `LabelStudioMLBase` that asks our backend."""

    def setup(self) -> None:
        """Take over the version that our backend serves (2.x asks `get("model_version")` for it)."""
        if has_request_context() and request.path == "/webhook":
            return  # a webhook has a secret of its own, which opens nothing else
        self.set("model_version", served_version(getattr(self, "project_id", None)))

    def set_extra_params(self, extra_params: Any) -> None:
        """Nothing: our backend reads them itself (2.x keeps only texts, and Label Studio sends an object)."""

    def predict(
        self, tasks: list[dict[str, Any]], context: dict[str, Any] | None = None, **more: Any
    ) -> list[dict[str, Any]]:
        """One prediction per task, or one suggestion for the clicks in `context`.

        Raises:
            BackendRefusal: our backend says no.
        """
        project = more.get("project") or getattr(self, "project_id", None) or _project_of(tasks)
        body = {
            "tasks": tasks,
            "project": project,
            "label_config": self.label_config,
            "params": {"context": context or None},
        }
        results: list[dict[str, Any]] = call("/predict", body)["results"]
        return results

    def fit(self, *args: Any, **more: Any) -> dict[str, Any]:
        """Hand an event to our inbox; it decides about training.

        Raises:
            BackendRefusal: the event was not kept.
        """
        event = more.get("event") or args[0]
        data = more.get("data") or args[1]
        return pass_event(str(event), data)


def served_version(project: Any) -> str:
    """The version string that our backend answers for a project.

    Raises:
        BackendRefusal: our backend says no.
    """
    body: dict[str, Any] = {"project": str(project or "")}
    if has_request_context() and request.path == "/setup":
        asked = request.get_json(silent=True)
        body |= {"extra_params": asked.get("extra_params")} if isinstance(asked, dict) else {}
    return str(call("/setup", body)["model_version"])


def pass_event(event: str, data: dict[str, Any]) -> dict[str, Any]:
    """Put an event into our inbox; byte for byte as it came where that is known, so that duplicates are recognised.

    Raises:
        BackendRefusal: the event was not kept.
    """
    if has_request_context() and request.path == "/webhook":
        return call("/webhook", request.get_data())
    return call("/webhook", {"action": event, **data})


def call(path: str, body: dict[str, Any] | bytes) -> dict[str, Any]:
    """POST to our backend with the credentials of whoever asks us.

    Raises:
        BackendRefusal: an error, or no answer.
    """
    return ask("POST", path, body if isinstance(body, bytes) else json.dumps(body).encode())[1]


def ask(method: str, path: str, content: bytes | None = None) -> tuple[int, dict[str, Any]]:
    """Status and content of our backend's answer.

    Raises:
        BackendRefusal: an error, or no answer.
    """
    headers = {"Content-Type": "application/json"}
    if has_request_context():
        headers |= {name: request.headers[name] for name in PASSED_ON if name in request.headers}
    url = os.environ.get(URL, "http://127.0.0.1:9090").rstrip("/")
    try:
        answer = requests.request(
            method, url + path, data=content, headers=headers, timeout=SECONDS, allow_redirects=False
        )
        parsed = answer.json()
    except (requests.RequestException, ValueError):
        raise _noted(BackendRefusal(502, "unreachable")) from None
    if answer.status_code >= 300 or not isinstance(parsed, dict):
        code = parsed.get("error", "error") if isinstance(parsed, dict) else "error"
        raise _noted(BackendRefusal(max(answer.status_code, 400), str(code)))
    return answer.status_code, parsed


def app() -> Any:
    """The package's own server with our model, as a WSGI application."""
    server = api.init_app(model_class=YoloMlsam)
    if hasattr(api, "_manager"):
        api._manager = _manager()
    # First of all: 2.x checks a password of its own, which webhooks do not have.
    server.before_request_funcs.setdefault(None, []).insert(0, _pass_whole)
    server.after_request(_without_traceback)
    return server


def _pass_whole() -> Response | None:
    if (request.method, request.path) not in PASSED_WHOLE:
        return None
    try:
        status, content = ask(request.method, request.path, request.get_data() or None)
    except BackendRefusal as error:
        return Response(status=error.status)  # `_without_traceback` says the rest
    return Response(json.dumps(content), status, content_type="application/json")


def _manager() -> Any:
    """1.0.9's manager, with our backend's version in place of its own."""

    class Manager(package.LabelStudioMLManager):  # type: ignore[misc]
        @classmethod
        def fetch(cls, project: Any = None, label_config: Any = None, *_: Any, **__: Any) -> Any:
            return cls._wrapped(label_config, served_version(project))

        @classmethod
        def predict(
            cls, tasks: Any, project: Any = None, label_config: Any = None, *_: Any, **params: Any
        ) -> Any:
            wrapper = cls._wrapped(label_config, "")
            results = wrapper.model.predict(tasks, context=params.get("context"), project=project)
            wrapper.model_version = next((r["model_version"] for r in results), "")
            return results, wrapper

        @classmethod
        def _wrapped(cls, label_config: Any, version: str) -> Any:
            model = YoloMlsam.__new__(
                YoloMlsam
            )  # its own way parses the config, which is our backend's business
            model.label_config = label_config
            return package.ModelWrapper(model=model, model_version=version)

    return Manager()


def _project_of(tasks: list[dict[str, Any]]) -> str | None:
    project = tasks[0].get("project") if tasks else None
    return None if project is None else str(project)


def _noted(error: BackendRefusal) -> BackendRefusal:
    if has_request_context():
        g.refusal = error
    return error


def _without_traceback(response: Response) -> Response:
    """1.0.9 sends tracebacks to callers; they get a code and a sentence."""
    refusal = getattr(g, "refusal", None)
    if refusal is not None:
        response.status_code = refusal.status
    if response.status_code >= 400:
        code = refusal.code if refusal else "failed"
        message = str(refusal) if refusal else "this is a fault of the adapter; its log has it"
        response.set_data(json.dumps({"error": code, "message": message}))
        response.content_type = "application/json"
    return response
