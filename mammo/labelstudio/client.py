"""LabelStudioClient: the part of Label Studio's HTTP API that we use, in Label Studio's terms.

Tested with 1.23.2. Label Studio stores almost anything, so regions and predictions are built by `regions` and
`predictions` only. It sends each webhook once, so a complete set of annotations is available only through this client.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote

from mammo.errors import LabelStudioError
from mammo.labelstudio.project_connection import (
    SECRET_HEADER,
    WEBHOOK_ACTIONS,
    ConnectedBackend,
    ProjectConnection,
)
from mammo.labelstudio.project_storage import ProjectStorage
from mammo.labelstudio.project_tabs import ProjectTabs

__all__ = ["SECRET_HEADER", "WEBHOOK_ACTIONS", "ConnectedBackend", "LabelStudioClient"]

AS_STORED = {"resolve_uri": "false"}
"""Keeps `s3://` addresses, as in /predict and webhooks; by default each becomes a link to Label Studio."""

PAGE = 100
"""Rows per page of a list."""

IMPORT_BATCH = 500
"""Tasks per import request."""

PREDICTED_BATCH = 20
"""Tasks per import request with predictions, whose brush RLE may take megabytes each."""


_UPLOAD = re.compile(r"/data/upload/\d+/[0-9a-f]{8}-(.+)$")


def name_of_upload(name: str) -> str:
    """Return a file's name as Label Studio stores an upload, without its prefix of eight characters."""
    return re.sub(r"[^-\w.]", "", name.strip().replace(" ", "_"))


class LabelStudioClient(ProjectConnection, ProjectStorage, ProjectTabs):
    """Client of one Label Studio server for one user. Every method raises `LabelStudioError`."""

    def health(self) -> bool:
        """Whether the server is up. Returns False instead of raising, for callers that wait for the server."""
        try:
            return bool(self.call("GET", "/health")["status"] == "UP")
        except (LabelStudioError, KeyError, TypeError):
            return False

    def version(self) -> str:
        """Return Label Studio's release, for example `1.23.2`; empty when it is not reported."""
        answer = self.call("GET", "/api/version")
        return str(answer.get("release") or "") if isinstance(answer, dict) else ""

    def token_settings(self) -> dict[str, bool]:
        """Return the kinds of token that are enabled: `api_tokens_enabled`, `legacy_api_tokens_enabled`."""
        return dict(self.call("GET", "/api/jwt/settings"))

    def account(self) -> int:
        """Return the id of the token's user."""
        return int(self.call("GET", "/api/current-user/whoami")["id"])

    # Projects

    def create_project(self, title: str, config: str, **fields: Any) -> int:
        """Create a project; return its id."""
        project = self.call("POST", "/api/projects/", json={"title": title, "label_config": config, **fields})
        return int(project["id"])

    def find_project(self, title: str) -> int | None:
        """Return the id of the oldest project with exactly this title; None when there is none."""
        projects = self._pages("/api/projects/", "results", title=title)
        return min((each["id"] for each in projects if each["title"] == title), default=None)

    def project(self, project: int) -> dict[str, Any]:
        """Return a project, with `label_config` and `model_version`."""
        return dict(self.call("GET", f"/api/projects/{project}/"))

    def update_project(self, project: int, **fields: Any) -> None:
        """Set fields such as `sampling`, `show_collab_predictions` or `min_annotations_to_start_training`."""
        self.call("PATCH", f"/api/projects/{project}/", json=fields)

    def set_model_version(self, project: int, version: str) -> None:
        """Show this version's predictions to annotators, and order tasks by their scores.

        The version must have at least one prediction in the project: push predictions first.
        """
        self.update_project(project, model_version=version)

    # Tasks, predictions, annotations

    def import_tasks(
        self,
        project: int,
        tasks: Sequence[Mapping[str, Any]],
        *,
        predictions: Sequence[Sequence[Mapping[str, Any]]] = (),
        annotations: Sequence[Sequence[Mapping[str, Any]]] = (),
    ) -> list[int]:
        """Create one task per `data` mapping; return their ids in order.

        Args:
            project: project id.
            tasks: task data.
            predictions: predictions per task, stored in one transaction with it; empty for tasks without predictions.
                If the project displays no model version yet, it displays that of the last prediction.
            annotations: annotations per task, stored likewise, as their author `completed_by`, or as the token's user;
                empty for tasks without annotations. Label Studio sends no webhook for them.
        """
        ids: list[int] = []
        path = f"/api/projects/{project}/import"
        size = PREDICTED_BATCH if predictions or annotations else IMPORT_BATCH
        for first in range(0, len(tasks), size):
            batch: list[dict[str, Any]] = [{"data": dict(data)} for data in tasks[first : first + size]]
            for body, predicted in zip(batch, predictions[first : first + size], strict=False):
                body["predictions"] = [dict(each) for each in predicted]
            for body, annotated in zip(batch, annotations[first : first + size], strict=False):
                body["annotations"] = [dict(each) for each in annotated]
            answer = self.call("POST", path, json=batch, params={"return_task_ids": "true"})
            ids.extend(int(task) for task in answer["task_ids"])
        return ids

    def tasks(self, project: int, *, all_fields: bool = False) -> Iterator[dict[str, Any]]:
        """Yield every task with its `data`; with `all_fields` also with annotations and predictions."""
        fields = AS_STORED | ({"fields": "all"} if all_fields else {})
        return self._pages("/api/tasks", "tasks", project=project, **fields)

    def task_summaries(self, project: int, *, since: datetime | None = None) -> Iterator[dict[str, Any]]:
        """Yield every task with `id`, `data` and `updated_at`, and `id` and `updated_at` of its annotations.

        Args:
            project: project id.
            since: only tasks updated at or after this time; changing or deleting an annotation updates its task.
        """
        fields = AS_STORED | {"fields": "all", "include": "id,data,updated_at,annotations"}
        if since is not None:
            item = {
                "filter": "filter:tasks:updated_at",
                "operator": "greater_or_equal",
                "type": "Datetime",
                "value": since.astimezone(UTC).isoformat().replace("+00:00", "Z"),
            }
            fields["query"] = json.dumps({"filters": {"conjunction": "and", "items": [item]}})
        return self._pages("/api/tasks", "tasks", project=project, **fields)

    def task(self, task: int) -> dict[str, Any]:
        """Return a task with data, annotations and predictions.

        Label Studio may first request a prediction from the ML backend if the task has none.
        """
        return dict(self.call("GET", f"/api/tasks/{task}/", params=AS_STORED))

    def first_tasks(self, project: int, count: int) -> list[dict[str, Any]]:
        """Return the first `count` tasks of a project."""
        params = {"project": project, "page": 1, "page_size": count, **AS_STORED}
        return list(self.call("GET", "/api/tasks", params=params)["tasks"])

    def uploaded_names(self, project: int) -> frozenset[str]:
        """Return the names of the files that were uploaded as tasks, as `name_of_upload` writes them."""
        texts = (str(value) for task in self.tasks(project) for value in task["data"].values())
        return frozenset(match[1] for match in map(_UPLOAD.match, map(unquote, texts)) if match)

    def next_tasks(
        self, project: int, task: int, count: int, *, by_score: bool = False
    ) -> list[dict[str, Any]]:
        """Return the next `count` tasks without an annotation: by id, or by prediction score, lowest first."""
        filters = [
            {"filter": "filter:tasks:total_annotations", "operator": "equal", "type": "Number", "value": 0}
        ]
        if not by_score:
            filters.append(
                {"filter": "filter:tasks:id", "operator": "greater", "type": "Number", "value": task}
            )
        query = {
            "filters": {"conjunction": "and", "items": filters},
            "ordering": ["tasks:predictions_score" if by_score else "tasks:id"],
        }
        params = {"project": project, "page": 1, "page_size": count + 1, "query": json.dumps(query)}
        tasks = self.call("GET", "/api/tasks", params=params | AS_STORED)["tasks"]
        return [each for each in tasks if each["id"] != task][:count]

    def delete_task(self, task: int) -> None:
        self.call("DELETE", f"/api/tasks/{task}/")

    def drafts(self, task: int) -> list[dict[str, Any]]:
        """Return the drafts of all users for a task: annotations that were begun and not submitted."""
        return list(self.call("GET", f"/api/tasks/{task}/drafts"))

    def users(self) -> list[dict[str, Any]]:
        """Return all users of the organization, with `id` and `email`."""
        answer = self.call("GET", "/api/users/")
        return list(answer["results"] if isinstance(answer, dict) else answer)

    def prediction_versions(self, project: int) -> dict[str, int]:
        """Return the number of predictions in the project by model version."""
        answer = self.call("GET", f"/api/projects/{project}/model-versions/")
        return {str(version): int(count) for version, count in dict(answer).items()}

    def predictions(self, task: int) -> list[dict[str, Any]]:
        return list(self.call("GET", "/api/predictions/", params={"task": task}))

    def push_prediction(self, task: int, prediction: Mapping[str, Any]) -> int:
        """Store a prediction, as `predictions.prediction` returns it; return its id."""
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
        """Submit an annotation as the token's user, as the front end does; return its id."""
        body = {"result": list(result), "lead_time": lead_time, "parent_prediction": parent_prediction}
        return int(self.call("POST", f"/api/tasks/{task}/annotations/", json=body)["id"])

    def _pages(self, path: str, key: str, **params: Any) -> Iterator[dict[str, Any]]:
        """Yield all rows of a paged list. The page after the last one answers 404."""
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
