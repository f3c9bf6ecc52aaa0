"""LabelStudioClient: what the demo, the importer and the worker ask of Label Studio, by its own words.

Measured against 1.23.2. Label Studio stores almost anything it is sent, so what goes out is built by `regions` and
`predictions` alone; and its webhooks are sent once and never again, so whoever needs all annotations asks here.
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
"""Show `s3://` addresses as they are, as /predict and webhooks do; else each becomes a link to Label Studio."""

PAGE = 100
IMPORT_BATCH = 500
PREDICTED_BATCH = 20
"""Tasks of one import that bring their predictions, each of which may hold megabytes of brush."""


_UPLOAD = re.compile(r"/data/upload/\d+/[0-9a-f]{8}-(.+)$")


def name_of_upload(name: str) -> str:
    """How Label Studio writes the name of an uploaded file (behind eight characters of its own)."""
    return re.sub(r"[^-\w.]", "", name.strip().replace(" ", "_"))


class LabelStudioClient(ProjectConnection, ProjectStorage, ProjectTabs):
    """One Label Studio server as one user sees it. Every method raises `LabelStudioError` with what to do."""

    def health(self) -> bool:
        """Whether the server is up; says False instead of raising, for those who wait for it."""
        try:
            return bool(self.call("GET", "/health")["status"] == "UP")
        except (LabelStudioError, KeyError, TypeError):
            return False

    def version(self) -> str:
        """Label Studio's release, for example `1.23.2`; empty when it does not say."""
        answer = self.call("GET", "/api/version")
        return str(answer.get("release") or "") if isinstance(answer, dict) else ""

    def token_settings(self) -> dict[str, bool]:
        """Which kinds of token the organization accepts: `api_tokens_enabled`, `legacy_api_tokens_enabled`."""
        return dict(self.call("GET", "/api/jwt/settings"))

    def account(self) -> int:
        """Number of the user whose token this is."""
        return int(self.call("GET", "/api/current-user/whoami")["id"])

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

    # Tasks, predictions, annotations

    def import_tasks(
        self,
        project: int,
        tasks: Sequence[Mapping[str, Any]],
        *,
        predictions: Sequence[Sequence[Mapping[str, Any]]] = (),
    ) -> list[int]:
        """Make one task of each `data` mapping; their ids, in order.

        Args:
            predictions: of each task, kept together with it or not at all; none: without any. The project shows the
                version of the last one from then on, if it showed none.
        """
        ids: list[int] = []
        path = f"/api/projects/{project}/import"
        size = PREDICTED_BATCH if predictions else IMPORT_BATCH
        for first in range(0, len(tasks), size):
            batch: list[dict[str, Any]] = [{"data": dict(data)} for data in tasks[first : first + size]]
            for row, held in zip(batch, predictions[first : first + size], strict=False):
                row["predictions"] = [dict(each) for each in held]
            answer = self.call("POST", path, json=batch, params={"return_task_ids": "true"})
            ids.extend(int(task) for task in answer["task_ids"])
        return ids

    def tasks(self, project: int, *, all_fields: bool = False) -> Iterator[dict[str, Any]]:
        """Every task, `data` included; with `all_fields` also full annotations and predictions."""
        fields = AS_STORED | ({"fields": "all"} if all_fields else {})
        return self._pages("/api/tasks", "tasks", project=project, **fields)

    def outlines(self, project: int, *, since: datetime | None = None) -> Iterator[dict[str, Any]]:
        """Every task with `id`, `data`, `updated_at` and its annotations' `id` and `updated_at`, without content.

        Args:
            since: only tasks changed at or after it; a change or deletion of an annotation changes its task.
        """
        wanted = AS_STORED | {"fields": "all", "include": "id,data,updated_at,annotations"}
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
        return dict(self.call("GET", f"/api/tasks/{task}/", params=AS_STORED))

    def first_tasks(self, project: int, count: int) -> list[dict[str, Any]]:
        """The first few tasks of a project."""
        params = {"project": project, "page": 1, "page_size": count, **AS_STORED}
        return list(self.call("GET", "/api/tasks", params=params)["tasks"])

    def uploaded_names(self, project: int) -> frozenset[str]:
        """Names of the files that were uploaded into the project's tasks, as `name_of_upload` writes them."""
        texts = (str(value) for task in self.tasks(project) for value in task["data"].values())
        return frozenset(match[1] for match in map(_UPLOAD.match, map(unquote, texts)) if match)

    def next_tasks(
        self, project: int, task: int, count: int, *, by_score: bool = False
    ) -> list[dict[str, Any]]:
        """The tasks without an annotation that annotators get after this one: by id, or by lowest score."""
        filters = [
            {"filter": "filter:tasks:total_annotations", "operator": "equal", "type": "Number", "value": 0}
        ]
        if not by_score:
            filters.append(
                {"filter": "filter:tasks:id", "operator": "greater", "type": "Number", "value": task}
            )
        wanted = {
            "filters": {"conjunction": "and", "items": filters},
            "ordering": ["tasks:predictions_score" if by_score else "tasks:id"],
        }
        params = {"project": project, "page": 1, "page_size": count + 1, "query": json.dumps(wanted)}
        found = self.call("GET", "/api/tasks", params=params | AS_STORED)["tasks"]
        return [each for each in found if each["id"] != task][:count]

    def delete_task(self, task: int) -> None:
        self.call("DELETE", f"/api/tasks/{task}/")

    def drafts(self, task: int) -> list[dict[str, Any]]:
        """What people have begun on a task and not submitted, whoever they are."""
        return list(self.call("GET", f"/api/tasks/{task}/drafts"))

    def users(self) -> list[dict[str, Any]]:
        """Everybody in the organization: `id`, `email`."""
        answer = self.call("GET", "/api/users/")
        return list(answer["results"] if isinstance(answer, dict) else answer)

    def prediction_versions(self, project: int) -> dict[str, int]:
        """Versions that have predictions in the project, and how many."""
        answer = self.call("GET", f"/api/projects/{project}/model-versions/")
        return {str(version): int(count) for version, count in dict(answer).items()}

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
