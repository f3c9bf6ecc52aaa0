"""Adapter for the server of the `label-studio-ml` package, for teams that host all their backends with it.

It is the only module imported there. It forwards requests with the caller's credentials to a Yolo-MLSAM backend
(`ADAPTER_BACKEND_URL`), so that predictions, model versions and webhook inbox are shared, and the networks are loaded
once. See `docs/adr/0004-label-studio-ml-as-an-adapter.md`.

    gunicorn "backend.label_studio_ml_adapter:app()"

It works with 1.0.9 (from PyPI), and follows the public source of 2.x, which is not on PyPI. Setup, predictions and
clicks use the package's own handlers. `app` replaces those that do not work: 1.0.9 loses webhooks, 2.x drops those
that are not for training, and both show tracebacks to callers.
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
FORWARDED_HEADERS = ("Authorization", "X-Yolo-Mlsam-Secret")
TIMEOUT = 110
"""Seconds to wait for the backend; Label Studio gives up after 100."""

FORWARDED = {("POST", "/webhook"), ("GET", "/versions"), ("GET", "/health"), ("GET", "/")}
"""Requests that are forwarded unchanged, because they concern no model."""


class BackendRefusal(Exception):
    """The backend responded with an error, or not at all (`status` 502)."""

    def __init__(self, status: int, code: str) -> None:
        super().__init__(f"the backend behind this adapter responded with {status} ({code}); see its log")
        self.status = status
        self.code = code


class YoloMlsam(LabelStudioMLBase):  # type: ignore[misc]
    """A `LabelStudioMLBase` that calls the backend."""

    def setup(self) -> None:
        """Set the version that the backend serves; 2.x reads it by `get("model_version")`."""
        if has_request_context() and request.path == "/webhook":
            return  # webhooks authenticate with their own secret, which `/setup` does not accept
        self.set("model_version", served_version(getattr(self, "project_id", None)))

    def set_extra_params(self, extra_params: Any) -> None:
        """Do nothing: the backend reads them itself. 2.x stores only strings, and Label Studio sends an object."""

    def predict(
        self, tasks: list[dict[str, Any]], context: dict[str, Any] | None = None, **more: Any
    ) -> list[dict[str, Any]]:
        """Return one prediction per task, or one suggestion for the clicks in `context`.

        Raises:
            BackendRefusal: the backend responded with an error.
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
        """Forward an event to the backend's inbox, which decides about training.

        Raises:
            BackendRefusal: the event was not stored.
        """
        event = more.get("event") or args[0]
        data = more.get("data") or args[1]
        return pass_event(str(event), data)


def served_version(project: Any) -> str:
    """Return the model version that the backend serves for a project.

    Raises:
        BackendRefusal: the backend responded with an error.
    """
    body: dict[str, Any] = {"project": str(project or "")}
    if has_request_context() and request.path == "/setup":
        received = request.get_json(silent=True)
        body |= {"extra_params": received.get("extra_params")} if isinstance(received, dict) else {}
    return str(call("/setup", body)["model_version"])


def pass_event(event: str, data: dict[str, Any]) -> dict[str, Any]:
    """Put an event into the inbox, byte for byte if possible, so that duplicates are recognised.

    Raises:
        BackendRefusal: the event was not stored.
    """
    if has_request_context() and request.path == "/webhook":
        return call("/webhook", request.get_data())
    return call("/webhook", {"action": event, **data})


def call(path: str, body: dict[str, Any] | bytes) -> dict[str, Any]:
    """POST to the backend with the caller's credentials.

    Raises:
        BackendRefusal: an error, or no answer.
    """
    return ask("POST", path, body if isinstance(body, bytes) else json.dumps(body).encode())[1]


def ask(method: str, path: str, content: bytes | None = None) -> tuple[int, dict[str, Any]]:
    """Return status and content of the backend's response.

    Raises:
        BackendRefusal: an error, or no answer.
    """
    headers = {"Content-Type": "application/json"}
    if has_request_context():
        headers |= {name: request.headers[name] for name in FORWARDED_HEADERS if name in request.headers}
    url = os.environ.get(URL, "http://127.0.0.1:9090").rstrip("/")
    try:
        response = requests.request(
            method, url + path, data=content, headers=headers, timeout=TIMEOUT, allow_redirects=False
        )
        parsed = response.json()
    except (requests.RequestException, ValueError):
        raise _recorded(BackendRefusal(502, "unreachable")) from None
    if response.status_code >= 300 or not isinstance(parsed, dict):
        code = parsed.get("error", "error") if isinstance(parsed, dict) else "error"
        raise _recorded(BackendRefusal(max(response.status_code, 400), str(code)))
    return response.status_code, parsed


def app() -> Any:
    """Return the package's server with this adapter, as a WSGI application."""
    server = api.init_app(model_class=YoloMlsam)
    if hasattr(api, "_manager"):
        api._manager = _manager()
    # Runs first: 2.x checks a password of its own, which webhooks do not have.
    server.before_request_funcs.setdefault(None, []).insert(0, _forward)
    server.after_request(_without_traceback)
    return server


def _forward() -> Response | None:
    if (request.method, request.path) not in FORWARDED:
        return None
    try:
        status, content = ask(request.method, request.path, request.get_data() or None)
    except BackendRefusal as error:
        return Response(status=error.status)  # `_without_traceback` adds the body
    return Response(json.dumps(content), status, content_type="application/json")


def _manager() -> Any:
    """Return the model manager of 1.0.9, with the backend's model version."""

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
            # The constructor would parse the labeling config, which is the backend's task.
            model = YoloMlsam.__new__(YoloMlsam)
            model.label_config = label_config
            return package.ModelWrapper(model=model, model_version=version)

    return Manager()


def _project_of(tasks: list[dict[str, Any]]) -> str | None:
    project = tasks[0].get("project") if tasks else None
    return None if project is None else str(project)


def _recorded(error: BackendRefusal) -> BackendRefusal:
    if has_request_context():
        g.refusal = error
    return error


def _without_traceback(response: Response) -> Response:
    """Replace the tracebacks that 1.0.9 sends by a code and a sentence."""
    refusal = getattr(g, "refusal", None)
    if refusal is not None:
        response.status_code = refusal.status
    if response.status_code >= 400:
        code = refusal.code if refusal else "failed"
        message = str(refusal) if refusal else "internal error of the adapter; see its log"
        response.set_data(json.dumps({"error": code, "message": message}))
        response.content_type = "application/json"
    return response
