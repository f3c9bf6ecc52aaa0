"""ProjectConnection: a project's ML backend and its webhook, each exactly once and right.

Label Studio makes a webhook of its own on connecting, without the secret, for all actions; deleting the backend
leaves it behind; a PATCH without `actions` clears them; and only the first backend of a project is ever asked.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mammo.errors import LabelStudioError
from mammo.labelstudio.connection import Connection

SECRET_HEADER = "X-Yolo-Mlsam-Secret"  # noqa: S105
"""Header of our webhooks: Label Studio signs nothing, and sends no basic auth with them."""

WEBHOOK_ACTIONS = (
    "ANNOTATION_CREATED",
    "ANNOTATION_UPDATED",
    "ANNOTATIONS_CREATED",
    "ANNOTATIONS_DELETED",
    "TASKS_CREATED",
    "TASKS_DELETED",
)

ANNOTATION_ACTIONS = tuple(action for action in WEBHOOK_ACTIONS if action != "TASKS_CREATED")

TITLE = "Yolo-MLSAM"
"""What our ML backends are called in Label Studio; also what `project.model_version` may be."""


@dataclass(frozen=True, kw_only=True)
class ConnectedBackend:
    """One project's link to an ML backend."""

    ml_backend: int
    webhook: int

    shown: str = ""
    """`project.model_version` now: the served version once it has predictions, the backend's title before."""


class ProjectConnection(Connection):
    """Connects projects to our backend."""

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
        """Connect a project to our backend, or repair the connection it has; safe to repeat.

        Afterwards exactly one ML backend of our title and one webhook to it are left, and both are right; what an
        earlier address of ours left behind is gone. Other people's backends and webhooks stay.

        Args:
            url: of the backend, as Label Studio reaches it.
            user, password: basic auth of the backend.
            webhook_secret: value of the secret header.

        Raises:
            LabelStudioError: also when Label Studio cannot reach the backend (code `backend_unreachable`).
        """
        url = url.rstrip("/")
        if not url.startswith(("http://", "https://")):
            raise LabelStudioError(
                f"the backend's address must begin with http:// or https://, got {url!r}",
                code="backend_address",
            )
        row = {
            "project": project,
            "url": url,
            "title": title,
            "auth_method": "BASIC_AUTH",
            "basic_auth_user": user,
            "basic_auth_pass": password,
            "is_interactive": True,
        }
        rows = self.backends(project)
        here = [b for b in rows if b["url"].rstrip("/") == url]
        moved = [b for b in rows if b["title"] == title and b["url"].rstrip("/") != url]
        try:
            if here:
                backend = self.call("PATCH", f"/api/ml/{here[0]['id']}", json=row)
            else:
                backend = self.call("POST", "/api/ml/", json=row)
        except LabelStudioError as error:
            raise _about_the_backend(url, error) from None
        for extra in (*here[1:], *moved):
            self.call("DELETE", f"/api/ml/{extra['id']}")
        stale = {f"{b['url'].rstrip('/')}/webhook" for b in moved}
        for hook in self.webhooks(project):
            if hook["url"].rstrip("/") in stale:
                self.delete_webhook(int(hook["id"]))
        return ConnectedBackend(
            ml_backend=int(backend["id"]),
            webhook=self._repair_webhook(project, f"{url}/webhook", webhook_secret),
            shown=self._show(project, backend),
        )

    def backends(self, project: int) -> list[dict[str, Any]]:
        """ML backends of a project, oldest first; Label Studio asks each for its health before it answers."""
        rows = self.call("GET", "/api/ml/", params={"project": project})
        return sorted(map(dict, rows), key=lambda row: int(row["id"]))

    def webhooks(self, project: int) -> list[dict[str, Any]]:
        """Webhooks of a project, oldest first."""
        rows = self.call("GET", "/api/webhooks/", params={"project": project})
        return sorted(map(dict, rows), key=lambda row: int(row["id"]))

    def delete_webhook(self, webhook: int) -> None:
        self.call("DELETE", f"/api/webhooks/{webhook}/")

    def repair_webhook(self, project: int, *, secret: str) -> list[str]:
        """Put the webhook to our backend right, where the project is connected to it.

        Returns:
            What was wrong: `missing`, `deactivated`, `duplicated`, `without secret`, `other actions`; empty where all
            was well, or the project has no backend of ours.
        """
        ours = [row for row in self.backends(project) if row["title"] == TITLE]
        if not ours:
            return []
        url = f"{ours[0]['url'].rstrip('/')}/webhook"
        hooks = [hook for hook in self.webhooks(project) if hook["url"].rstrip("/") == url]
        wrong = _wrong_with(hooks, secret)
        if wrong:
            self._repair_webhook(project, url, secret)
        return wrong

    def tell_backend_of(self, source: int, project: int, *, secret: str) -> bool:
        """Let a project tell of its annotations to the backend that another one is connected to.

        The model stays out of it: there is no ML backend, and no word of new tasks, which would be prelabelled.

        Returns:
            Whether the other project is connected; if not, nothing was done.
        """
        ours = [row for row in self.backends(source) if row["title"] == TITLE]
        if ours:
            self._repair_webhook(
                project, f"{ours[0]['url'].rstrip('/')}/webhook", secret, actions=ANNOTATION_ACTIONS
            )
        return bool(ours)

    def start_training(self, ml_backend: int) -> None:
        """What the button "Start training" does; Label Studio waits for the backend's answer."""
        self.call("POST", f"/api/ml/{ml_backend}/train", json={})

    def refuses_backend(self, url: str) -> bool:
        """Whether Label Studio's SSRF protection keeps it from asking this ML backend; changes nothing.

        It looks at the address before it finds that there is no project 0.
        """
        return self._blocked("/api/ml/", {"project": 0, "url": url, "title": TITLE})

    def refuses_webhook(self, project: int, url: str) -> bool:
        """Whether its SSRF protection keeps its webhooks from this address; changes nothing.

        It looks at the address before it finds that there is no such action.
        """
        row = {"project": project, "url": url, "actions": ["NO_SUCH_ACTION"], "is_active": False}
        return self._blocked("/api/webhooks/", row)

    def _blocked(self, path: str, row: Mapping[str, Any]) -> bool:
        try:
            self.call("POST", path, json=row)
        except LabelStudioError as error:
            return error.code == "label_studio_403"
        raise LabelStudioError(f"Label Studio took a row at {path} that it should have refused; is it 1.23?")

    def _show(self, project: int, backend: Mapping[str, Any]) -> str:
        """Show the served version to annotators. Label Studio knows a version once it has predictions."""
        shown = str(self.call("GET", f"/api/projects/{project}/")["model_version"] or "")
        serving = str(backend.get("model_version") or "")
        versions = self.call("GET", f"/api/projects/{project}/model-versions/")
        wanted = serving if serving in versions else (shown if shown in versions else str(backend["title"]))
        if shown != wanted:
            self.call("PATCH", f"/api/projects/{project}/", json={"model_version": wanted})
        return wanted

    def _repair_webhook(
        self, project: int, url: str, secret: str, *, actions: Sequence[str] = WEBHOOK_ACTIONS
    ) -> int:
        """Leave exactly one webhook to our URL: with the secret, and with a list of actions.

        A PATCH without `actions` would clear them, so the row is always sent whole.
        """
        row = {
            "url": url,
            "headers": {SECRET_HEADER: secret},
            "actions": list(actions),
            "send_payload": True,
            "send_for_all_actions": False,
            "is_active": True,
        }
        ours = [hook for hook in self.webhooks(project) if hook["url"].rstrip("/") == url]
        for extra in ours[1:]:
            self.delete_webhook(int(extra["id"]))
        if ours:
            return int(self.call("PATCH", f"/api/webhooks/{ours[0]['id']}/", json=row)["id"])
        return int(self.call("POST", "/api/webhooks/", json={"project": project, **row})["id"])


def _about_the_backend(url: str, error: LabelStudioError) -> LabelStudioError:
    """Label Studio asks a backend before it connects it, and answers 400 with the library's words for what it met."""
    words = str(error)
    if error.code != "label_studio_400":
        return error
    if "401 Client Error" in words:
        says = "refuses the password: YOLO_MLSAM_AUTH_USER and YOLO_MLSAM_AUTH_PASSWORD must be those it serves with"
    elif "503 Server Error" in words:
        says = "serves no model yet: wait until `/health` names a model_version, and repeat the command"
    elif "health check failed" in words:
        says = (
            "is not reached by Label Studio: is `yolo-mlsam serve` running, and is this its address as Label Studio's "
            "machine knows it? There 127.0.0.1 is that machine itself, and YOLO_MLSAM_HOST must let others in"
        )
    else:
        return error
    return LabelStudioError(f"the backend at {url} {says}", code="backend_unreachable")


def _wrong_with(hooks: Sequence[Mapping[str, Any]], secret: str) -> list[str]:
    """What keeps these webhooks to one address from telling us everything exactly once."""
    if not hooks:
        return ["missing"]
    found = {
        "duplicated": len(hooks) > 1,
        "deactivated": not hooks[0]["is_active"],
        "without secret": (hooks[0].get("headers") or {}).get(SECRET_HEADER) != secret,
        "other actions": bool(hooks[0]["send_for_all_actions"])
        or set(hooks[0]["actions"]) != set(WEBHOOK_ACTIONS),
    }
    return [name for name, is_so in found.items() if is_so]
