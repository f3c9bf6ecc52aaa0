"""ProjectTabs: a tab of the data manager that orders unannotated tasks by a field of their data.

The label stream of Label Studio orders tasks by id or at random; it orders them by score for a single annotator only
(version 1.23 falls back to random order with a second one). *Label Tasks As Displayed* follows the order of a tab for
every annotator. It does not lock tasks: two annotators who start at the same moment receive the same task.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mammo.labelstudio.connection import Connection


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
        data = {
            "title": title,
            "type": "list",
            "target": "tasks",
            "ordering": [f"tasks:data.{field}"],
            "filters": {"conjunction": "and", "items": [unannotated]},
        }
        body = {"project": project, "data": data}
        for tab in self.call("GET", "/api/dm/views/", params={"project": project}):
            if tab["data"].get("title") == title:
                return int(self.call("PATCH", f"/api/dm/views/{tab['id']}/", json=body)["id"])
        return int(self.call("POST", "/api/dm/views/", json=body)["id"])
