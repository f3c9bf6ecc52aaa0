"""ProjectTabs: tabs of the data manager, such as one that orders unannotated tasks by a field of their data.

The label stream of Label Studio orders tasks by id or at random; it orders them by score for a single annotator only
(version 1.23 falls back to random order with a second one). *Label Tasks As Displayed* follows the order of a tab for
every annotator. It does not lock tasks: two annotators who start at the same moment receive the same task.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mammo.labelstudio.connection import Connection

SELDOM_READ = tuple(
    f"tasks:{name}"
    for name in (
        "inner_id",
        "completed_at",
        "cancelled_annotations",
        "total_predictions",
        "annotations_results",
        "annotations_ids",
        "predictions_results",
        "file_upload",
        "storage_filename",
        "created_at",
        "updated_at",
        "updated_by",
        "avg_lead_time",
        "draft_exists",
    )
)
"""Columns of Label Studio that no tab of ours shows."""

ABOUT_PREDICTIONS = ("tasks:predictions_score", "tasks:predictions_model_versions")
"""Columns that a tab about a field of the data leaves out besides, so that the field is seen."""


def _list_of(title: str, *, ordering: str, condition: Mapping[str, Any]) -> dict[str, Any]:
    """Return the data of a tab: the tasks that meet a condition, in an order."""
    return {
        "title": title,
        "type": "list",
        "target": "tasks",
        "ordering": [ordering],
        "filters": {"conjunction": "and", "items": [dict(condition)]},
    }


class ProjectTabs(Connection):
    """Tabs of a project's data manager, and the task data that they sort by."""

    def set_task_data(self, task: int, data: Mapping[str, Any]) -> None:
        """Replace the data of a task. Label Studio sends no webhook for it."""
        self.call("PATCH", f"/api/tasks/{task}/", json={"data": dict(data)})

    def show_tab(self, project: int, *, title: str, field: str) -> int:
        """Create or update a tab of the unannotated tasks, ordered by a field of their data.

        Tasks without the field come last.

        Args:
            project: project id.
            title: identifies the tab; a tab with this title is updated.
            field: key of the task data; its values are compared as text, so numbers need leading zeros.

        Returns:
            The tab's id, for the page `/projects/PROJECT/data?tab=ID`.
        """
        unannotated = {
            "filter": "filter:tasks:total_annotations",
            "operator": "equal",
            "type": "Number",
            "value": 0,
        }
        return self._show(project, _list_of(title, ordering=f"tasks:data.{field}", condition=unannotated))

    def show_marked_tab(self, project: int, *, title: str, field: str, mark: str) -> int:
        """Create or update a tab of the tasks with a mark in a field of their data; returns its id.

        A project without any tab gets its default one first, which Label Studio shows only as long as there is none.

        Args:
            project: project id.
            title: identifies the tab; a tab with this title is updated.
            field: key of the task data; tasks without it are not in the tab.
            mark: text that the field contains.
        """
        marked = {
            "filter": f"filter:tasks:data.{field}",
            "operator": "contains",
            "type": "String",
            "value": mark,
        }
        if not self._tabs(project):
            self._create_tab(
                {"project": project, "data": {"title": "Default", "type": "list", "target": "tasks"}}
            )
        tab = _list_of(title, ordering="tasks:id", condition=marked)
        return self._show(
            project, {**tab, "hiddenColumns": {"explore": [*SELDOM_READ, *ABOUT_PREDICTIONS], "labeling": []}}
        )

    def _show(self, project: int, data: Mapping[str, Any]) -> int:
        known = self._tab(project, data["title"])
        body = {"project": project, "data": data}
        if known is None:
            return self._create_tab(body)
        return int(self.call("PATCH", f"/api/dm/views/{known}/", json=body)["id"])

    def show_first_tab(self, project: int, data: Mapping[str, Any]) -> bool:
        """Create a tab and put it before all others; Label Studio opens the first one.

        Args:
            project: project id.
            data: of the tab; its `title` identifies it.

        Returns:
            False if the project has a tab with this title, which may have been changed and stays as it is.
        """
        if self._tab(project, data["title"]) is not None:
            return False
        others = [int(tab["id"]) for tab in self._tabs(project)]
        first = self._create_tab({"project": project, "data": dict(data)})
        self.call("POST", "/api/dm/views/order/", json={"project": project, "ids": [first, *others]})
        return True

    def _create_tab(self, body: Mapping[str, Any]) -> int:
        return int(self.call("POST", "/api/dm/views/", json=body)["id"])

    def _tab(self, project: int, title: str) -> int | None:
        """Return the id of the tab with a title; None without one."""
        return next(
            (int(tab["id"]) for tab in self._tabs(project) if tab["data"].get("title") == title), None
        )

    def _tabs(self, project: int) -> list[dict[str, Any]]:
        return list(self.call("GET", "/api/dm/views/", params={"project": project}))
