"""LabelStudioClient: what the demo, the importer and the worker ask of Label Studio, by its own words.

Measured against 1.23.2. Label Studio stores almost anything it is sent, so what goes out is built by `regions` and
`predictions` alone; and its webhooks are sent once and never again, so whoever needs all annotations asks here.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
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

PAGE = 100
IMPORT_BATCH = 500


@dataclass(frozen=True, kw_only=True)
class ConnectedBackend:
    """One project's link to an ML backend."""

    ml_backend: int
    webhook: int


class LabelStudioClient(Connection):
    """One Label Studio server as one user sees it. Every method raises `LabelStudioError` with what to do."""

    def health(self) -> bool:
        """Whether the server is up; says False instead of raising, for those who wait for it."""
        try:
            return bool(self.call("GET", "/health")["status"] == "UP")
        except (LabelStudioError, KeyError, TypeError):
            return False

    # Projects

    def create_project(self, title: str, config: str, **fields: Any) -> int:
        """A new project; its id."""
        project = self.call("POST", "/api/projects/", json={"title": title, "label_config": config, **fields})
        return int(project["id"])

    def find_project(self, title: str) -> int | None:
        """Id of the oldest project with exactly this title; None when there is none."""
        found = [
            p["id"] for p in self._pages("/api/projects/", "results", title=title) if p["title"] == title
        ]
        return min(found, default=None)

    def project(self, project: int) -> dict[str, Any]:
        """The project as Label Studio describes it, `label_config` and `model_version` included."""
        return dict(self.call("GET", f"/api/projects/{project}/"))

    def update_project(self, project: int, **fields: Any) -> None:
        """Set fields such as `sampling`, `show_collab_predictions` or `min_annotations_to_start_training`."""
        self.call("PATCH", f"/api/projects/{project}/", json=fields)

    def set_model_version(self, project: int, version: str) -> None:
        """Show this version's predictions to annotators, and order tasks by their scores.

        Label Studio knows only versions that have at least one prediction in the project: push first.
        """
        self.update_project(project, model_version=version)

    def add_local_storage(self, project: int, path: Path, *, title: str = "images") -> int:
        """Let Label Studio serve the files of a folder below its document root; done once, then found again."""
        folder = str(path)
        for row in self.call("GET", "/api/storages/localfiles/", params={"project": project}):
            if row["path"] == folder:
                return int(row["id"])
        row = {"project": project, "path": folder, "title": title, "use_blob_urls": True}
        return int(self.call("POST", "/api/storages/localfiles/", json=row)["id"])

    # Tasks, predictions, annotations

    def import_tasks(self, project: int, tasks: Sequence[Mapping[str, Any]]) -> list[int]:
        """Make one task of each `data` mapping; their ids, in order."""
        ids: list[int] = []
        path = f"/api/projects/{project}/import"
        for first in range(0, len(tasks), IMPORT_BATCH):
            batch = [{"data": dict(data)} for data in tasks[first : first + IMPORT_BATCH]]
            answer = self.call("POST", path, json=batch, params={"return_task_ids": "true"})
            ids.extend(int(task) for task in answer["task_ids"])
        return ids

    def tasks(self, project: int, *, all_fields: bool = False) -> Iterator[dict[str, Any]]:
        """Every task, `data` included; with `all_fields` also full annotations and predictions."""
        fields = {"fields": "all"} if all_fields else {}
        return self._pages("/api/tasks", "tasks", project=project, **fields)

    def outlines(self, project: int, *, since: datetime | None = None) -> Iterator[dict[str, Any]]:
        """Every task with `id`, `data`, `updated_at` and its annotations' `id` and `updated_at`, without content.

        Args:
            since: only tasks changed at or after it; a change or deletion of an annotation changes its task.
        """
        wanted = {"fields": "all", "include": "id,data,updated_at,annotations"}
        if since is not None:
            item = {
                "filter": "filter:tasks:updated_at",
                "operator": "greater_or_equal",
                "type": "Datetime",
                "value": since.astimezone(UTC).isoformat().replace("+00:00", "Z"),
            }
            wanted["query"] = json.dumps({"filters": {"conjunction": "and", "items": [item]}})
        return self._pages("/api/tasks", "tasks", project=project, **wanted)

    def task(self, task: int) -> dict[str, Any]:
        """One task with data, annotations and predictions.

        Asking may make Label Studio ask the ML backend for a prediction, when the task has none.
        """
        return dict(self.call("GET", f"/api/tasks/{task}/"))

    def predictions(self, task: int) -> list[dict[str, Any]]:
        return list(self.call("GET", "/api/predictions/", params={"task": task}))

    def push_prediction(self, task: int, prediction: Mapping[str, Any]) -> int:
        """Store one prediction (as `predictions.prediction` makes it); its id."""
        return int(self.call("POST", "/api/predictions/", json={"task": task, **prediction})["id"])

    def annotations(self, task: int) -> list[dict[str, Any]]:
        return list(self.call("GET", f"/api/tasks/{task}/annotations/"))

    def annotate(
        self,
        task: int,
        result: Sequence[Mapping[str, Any]],
        *,
        lead_time: float | None = None,
        parent_prediction: int | None = None,
    ) -> int:
        """Submit an annotation as this user, as the front end does; its id."""
        body = {"result": list(result), "lead_time": lead_time, "parent_prediction": parent_prediction}
        return int(self.call("POST", f"/api/tasks/{task}/annotations/", json=body)["id"])

    def update_annotation(
        self, annotation: int, result: Sequence[Mapping[str, Any]], *, lead_time: float | None = None
    ) -> None:
        body = {"result": list(result)} | ({} if lead_time is None else {"lead_time": lead_time})
        self.call("PATCH", f"/api/annotations/{annotation}/", json=body)

    def delete_annotation(self, annotation: int) -> None:
        self.call("DELETE", f"/api/annotations/{annotation}/")

    # The ML backend

    def connect_backend(
        self,
        project: int,
        url: str,
        *,
        user: str,
        password: str,
        webhook_secret: str,
        title: str = "Yolo-MLSAM",
    ) -> ConnectedBackend:
        """Connect a project to our backend, or repair the connection it has; safe to repeat.

        Label Studio makes a webhook of its own on connecting, without the secret, for all actions; deleting the
        backend leaves it behind. Afterwards exactly one webhook to this backend is left, and it is right.

        Args:
            url: of the backend, as Label Studio reaches it.
            user, password: basic auth of the backend.
            webhook_secret: value of the secret header.
        """
        url = url.rstrip("/")
        row = {
            "project": project,
            "url": url,
            "title": title,
            "auth_method": "BASIC_AUTH",
            "basic_auth_user": user,
            "basic_auth_pass": password,
            "is_interactive": True,
        }
        # Only the first backend of a project is ever asked for predictions.
        known = [b for b in self.backends(project) if b["url"].rstrip("/") == url]
        if known:
            backend = self.call("PATCH", f"/api/ml/{known[0]['id']}", json=row)
        else:
            backend = self.call("POST", "/api/ml/", json=row)
        return ConnectedBackend(
            ml_backend=int(backend["id"]),
            webhook=self._repair_webhook(project, f"{url}/webhook", webhook_secret),
        )

    def backends(self, project: int) -> list[dict[str, Any]]:
        """ML backends of a project; Label Studio asks each for its health first."""
        return list(self.call("GET", "/api/ml/", params={"project": project}))

    def webhooks(self, project: int) -> list[dict[str, Any]]:
        return list(self.call("GET", "/api/webhooks/", params={"project": project}))

    def start_training(self, ml_backend: int) -> None:
        """What the button "Start training" does; Label Studio waits for the backend's answer."""
        self.call("POST", f"/api/ml/{ml_backend}/train", json={})

    def _repair_webhook(self, project: int, url: str, secret: str) -> int:
        """Leave exactly one webhook to our URL: with the secret, and with a list of actions.

        A PATCH without `actions` would clear them, so the row is always sent whole.
        """
        row = {
            "url": url,
            "headers": {SECRET_HEADER: secret},
            "actions": list(WEBHOOK_ACTIONS),
            "send_payload": True,
            "send_for_all_actions": False,
            "is_active": True,
        }
        ours = [hook for hook in self.webhooks(project) if hook["url"].rstrip("/") == url]
        for extra in ours[1:]:
            self.call("DELETE", f"/api/webhooks/{extra['id']}/")
        if ours:
            return int(self.call("PATCH", f"/api/webhooks/{ours[0]['id']}/", json=row)["id"])
        return int(self.call("POST", "/api/webhooks/", json={"project": project, **row})["id"])

    def _pages(self, path: str, key: str, **params: Any) -> Iterator[dict[str, Any]]:
        """All rows of a paged list; the page behind the last one answers 404."""
        page = 1
        while True:
            try:
                answer = self.call("GET", path, params={**params, "page": page, "page_size": PAGE})
            except LabelStudioError as error:
                if page > 1 and error.code == "label_studio_404":
                    return
                raise
            rows = answer[key]
            yield from rows
            if len(rows) < PAGE:
                return
            page += 1
