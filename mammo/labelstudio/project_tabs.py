"""ProjectTabs: what annotators get next where we say so: a field of each task's data, and a tab sorted by it.

Label Studio's own orders do not do: its label stream goes by task number or at random, and by score only for a single
annotator (with a second one in the project 1.23 draws at random). *Label Tasks As Displayed* in a tab follows the
tab's order, for everybody. It takes no lock: two who begin in the same moment get the same task.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mammo.labelstudio.connection import Connection


class ProjectTabs(Connection):
    """Tabs of a project's data manager, and the data they sort by."""

    def set_task_data(self, task: int, data: Mapping[str, Any]) -> None:
        """Replace all data of a task; no webhook tells of it."""
        self.call("PATCH", f"/api/tasks/{task}/", json={"data": dict(data)})

    def show_tab(self, project: int, *, title: str, field: str) -> int:
        """A tab of the unread tasks in the order of a field of their data, those without it last; made once.

        Args:
            field: compared as text, so that numbers need leading zeros.

        Returns:
            Its number: the page is `/projects/PROJECT/data?tab=NUMBER`.
        """
        unread = {
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
            "filters": {"conjunction": "and", "items": [unread]},
        }
        row = {"project": project, "data": data}
        for known in self.call("GET", "/api/dm/views/", params={"project": project}):
            if known["data"].get("title") == title:
                return int(self.call("PATCH", f"/api/dm/views/{known['id']}/", json=row)["id"])
        return int(self.call("POST", "/api/dm/views/", json=row)["id"])
