"""ProjectConnection: exactly one correct ML backend and webhook per project.

When a backend is connected, Label Studio creates a webhook for all actions and without our secret. Deleting the backend
does not delete the webhook. A PATCH without `actions` clears them. Only a project's first backend is used.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mammo.errors import LabelStudioError
from mammo.labelstudio.connection import Connection

SECRET_HEADER = "X-Yolo-Mlsam-Secret"  # noqa: S105
"""Header of our webhooks. Label Studio neither signs webhooks nor sends basic auth with them."""

WEBHOOK_ACTIONS = (
    "ANNOTATION_CREATED",
    "ANNOTATION_UPDATED",
    "ANNOTATIONS_CREATED",
    "ANNOTATIONS_DELETED",
    "TASKS_CREATED",
    "TASKS_DELETED",
)
"""Actions of the webhook of a connected project."""

ANNOTATION_ACTIONS = tuple(action for action in WEBHOOK_ACTIONS if action != "TASKS_CREATED")
"""Actions of the webhook of a project without an ML backend."""

TITLE = "Yolo-MLSAM"
"""Title of our ML backends in Label Studio; Label Studio may also use it as `project.model_version`."""


@dataclass(frozen=True, kw_only=True)
class ConnectedBackend:
    """A project's connection to an ML backend."""

    ml_backend: int
    """Id of the ML backend in Label Studio."""

    webhook: int
    """Id of the webhook in Label Studio."""

    displayed_version: str = ""
    """`project.model_version`: the served model version once it has predictions, before that the backend's title."""


class ProjectConnection(Connection):
    """Requests that connect projects to our backend."""

    def connect_backend(
        self,
        project: int,
        url: str,
        *,
        user: str,
        password: str,
        webhook_secret: str,
        title: str = TITLE,
    ) -> ConnectedBackend:
        """Connect a project to our backend, or repair its connection. Idempotent.

        Afterwards the project has exactly one ML backend with our title and one webhook to it. Backends and webhooks
        at an earlier address of ours are deleted; those of others are not changed.

        Args:
            project: project id.
            url: address of the backend from Label Studio.
            user, password: basic auth of the backend.
            webhook_secret: value of the secret header.
            title: of the ML backend.

        Raises:
            LabelStudioError: also when Label Studio cannot reach the backend (code `backend_unreachable`), or the
                address is not http(s) (code `backend_address`).
        """
        url = url.rstrip("/")
        if not url.startswith(("http://", "https://")):
            raise LabelStudioError(
                f"expected an address of the backend with http:// or https://, got {url!r}",
                code="backend_address",
            )
        body = {
            "project": project,
            "url": url,
            "title": title,
            "auth_method": "BASIC_AUTH",
            "basic_auth_user": user,
            "basic_auth_pass": password,
            "is_interactive": True,
        }
        backends = self.backends(project)
        same_url = [each for each in backends if each["url"].rstrip("/") == url]
        outdated = [each for each in backends if each["title"] == title and each not in same_url]
        try:
            if same_url:
                backend = self.call("PATCH", f"/api/ml/{same_url[0]['id']}", json=body)
            else:
                backend = self.call("POST", "/api/ml/", json=body)
        except LabelStudioError as error:
            raise _connection_error(url, error) from None
        self._delete_backends(project, duplicates=same_url[1:], outdated=outdated)
        return ConnectedBackend(
            ml_backend=int(backend["id"]),
            webhook=self._set_webhook(project, f"{url}/webhook", webhook_secret),
            displayed_version=self._display_version(project, backend),
        )

    def backends(self, project: int) -> list[dict[str, Any]]:
        """Return the ML backends of a project, oldest first. Label Studio checks the health of each first."""
        backends = self.call("GET", "/api/ml/", params={"project": project})
        return sorted(map(dict, backends), key=lambda backend: int(backend["id"]))

    def webhooks(self, project: int) -> list[dict[str, Any]]:
        """Return the webhooks of a project, oldest first."""
        webhooks = self.call("GET", "/api/webhooks/", params={"project": project})
        return sorted(map(dict, webhooks), key=lambda webhook: int(webhook["id"]))

    def connected_projects(self, *, secret: str) -> list[int]:
        """Return the projects with an active webhook that has our secret, in one request that checks no backend.

        Args:
            secret: value of the secret header; empty: no project is known to be ours.
        """
        webhooks = self.call("GET", "/api/webhooks/") if secret else []
        ours = [each for each in webhooks if (each["headers"] or {}).get(SECRET_HEADER) == secret]
        return sorted({int(each["project"]) for each in ours if each["is_active"] and each["project"]})

    def delete_webhook(self, webhook: int) -> None:
        self.call("DELETE", f"/api/webhooks/{webhook}/")

    def repair_webhook(self, project: int, *, secret: str) -> list[str]:
        """Repair the webhook to our backend, if the project is connected to it.

        Returns:
            The defects: `missing`, `deactivated`, `duplicated`, `without secret`, `other actions`. Empty for a correct
            webhook, and for a project without a backend of ours.
        """
        url = self._webhook_url(project)
        if url is None:
            return []
        webhooks = [each for each in self.webhooks(project) if each["url"].rstrip("/") == url]
        defects = _defects(webhooks, secret)
        if defects:
            self._set_webhook(project, url, secret)
        return defects

    def copy_webhook(self, source: int, project: int, *, secret: str) -> bool:
        """Send a project's annotations to the backend to which the project `source` is connected.

        The project gets no ML backend, and no webhook for new tasks, so nothing in it is prelabelled.

        Returns:
            False if `source` is not connected; then nothing was changed.
        """
        url = self._webhook_url(source)
        if url is not None:
            self._set_webhook(project, url, secret, actions=ANNOTATION_ACTIONS)
        return url is not None

    def start_training(self, ml_backend: int) -> None:
        """Do what the button "Start training" does; Label Studio waits for the backend's response."""
        self.call("POST", f"/api/ml/{ml_backend}/train", json={})

    def refuses_backend(self, url: str) -> bool:
        """Whether Label Studio's SSRF protection blocks this ML backend. Changes nothing.

        Label Studio checks the address before it notices that project 0 does not exist.
        """
        return self._is_blocked("/api/ml/", {"project": 0, "url": url, "title": TITLE})

    def refuses_webhook(self, project: int, url: str) -> bool:
        """Whether Label Studio's SSRF protection blocks webhooks to this address. Changes nothing.

        Label Studio checks the address before it notices that the action does not exist.
        """
        body = {"project": project, "url": url, "actions": ["NO_SUCH_ACTION"], "is_active": False}
        return self._is_blocked("/api/webhooks/", body)

    def _is_blocked(self, path: str, body: Mapping[str, Any]) -> bool:
        try:
            self.call("POST", path, json=body)
        except LabelStudioError as error:
            return error.code == "label_studio_403"
        raise LabelStudioError(
            f"Label Studio accepted an invalid request to {path}; check that its version is 1.23"
        )

    def _delete_backends(
        self, project: int, *, duplicates: Sequence[Mapping[str, Any]], outdated: Sequence[Mapping[str, Any]]
    ) -> None:
        """Delete ML backends, and the webhooks to those at an earlier address."""
        for backend in (*duplicates, *outdated):
            self.call("DELETE", f"/api/ml/{backend['id']}")
        stale_urls = {f"{backend['url'].rstrip('/')}/webhook" for backend in outdated}
        for webhook in self.webhooks(project):
            if webhook["url"].rstrip("/") in stale_urls:
                self.delete_webhook(int(webhook["id"]))

    def _display_version(self, project: int, backend: Mapping[str, Any]) -> str:
        """Show the served model version to annotators, if it has predictions; return the displayed version."""
        displayed = str(self.call("GET", f"/api/projects/{project}/")["model_version"] or "")
        served = str(backend.get("model_version") or "")
        versions = self.call("GET", f"/api/projects/{project}/model-versions/")
        with_predictions = (version for version in (served, displayed) if version in versions)
        version = next(with_predictions, str(backend["title"]))
        if displayed != version:
            self.call("PATCH", f"/api/projects/{project}/", json={"model_version": version})
        return version

    def _webhook_url(self, project: int) -> str | None:
        """Return the webhook address of our backend; None if the project is not connected to it."""
        backend = next((each for each in self.backends(project) if each["title"] == TITLE), None)
        return None if backend is None else f"{backend['url'].rstrip('/')}/webhook"

    def _set_webhook(
        self, project: int, url: str, secret: str, *, actions: Sequence[str] = WEBHOOK_ACTIONS
    ) -> int:
        """Create or replace the only webhook to our address; return its id.

        The complete body is sent each time, because a PATCH without `actions` would clear them.
        """
        body = {
            "url": url,
            "headers": {SECRET_HEADER: secret},
            "actions": list(actions),
            "send_payload": True,
            "send_for_all_actions": False,
            "is_active": True,
        }
        ours = [webhook for webhook in self.webhooks(project) if webhook["url"].rstrip("/") == url]
        for duplicate in ours[1:]:
            self.delete_webhook(int(duplicate["id"]))
        if ours:
            return int(self.call("PATCH", f"/api/webhooks/{ours[0]['id']}/", json=body)["id"])
        return int(self.call("POST", "/api/webhooks/", json={"project": project, **body})["id"])


def _connection_error(url: str, error: LabelStudioError) -> LabelStudioError:
    """Explain why Label Studio could not connect a backend.

    Label Studio requests the backend's health first, and answers 400 with the exception of its HTTP library.
    """
    message = str(error)
    if error.code != "label_studio_400":
        return error
    if "401 Client Error" in message:
        reason = (
            "refuses the password: set YOLO_MLSAM_AUTH_USER and YOLO_MLSAM_AUTH_PASSWORD to the values with which it "
            "was started"
        )
    elif "503 Server Error" in message:
        reason = "serves no model yet: wait until `/health` names a model_version, and repeat the command"
    elif "health check failed" in message:
        reason = (
            "is unreachable from Label Studio: check that `yolo-mlsam serve` is running, that this is its address from "
            "Label Studio's machine (127.0.0.1 would be that machine itself), and that YOLO_MLSAM_HOST accepts "
            "connections from other machines"
        )
    else:
        return error
    return LabelStudioError(f"the backend at {url} {reason}", code="backend_unreachable")


def _defects(webhooks: Sequence[Mapping[str, Any]], secret: str) -> list[str]:
    """Return the defects because of which webhooks would be lost, duplicated or refused; see `repair_webhook`."""
    if not webhooks:
        return ["missing"]
    webhook = webhooks[0]
    defects = {
        "duplicated": len(webhooks) > 1,
        "deactivated": not webhook["is_active"],
        "without secret": (webhook.get("headers") or {}).get(SECRET_HEADER) != secret,
        "other actions": webhook["send_for_all_actions"] or set(webhook["actions"]) != set(WEBHOOK_ACTIONS),
    }
    return [name for name, present in defects.items() if present]
