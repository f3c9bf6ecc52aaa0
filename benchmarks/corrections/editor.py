"""Editor: what Label Studio's labeling page does over HTTP: open a task, save drafts, ask the model, submit."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

from benchmarks.corrections.reader import Result
from mammo.labelstudio import LabelStudioClient


@dataclass
class Editor:
    """One task that is open."""

    client: LabelStudioClient
    project: int
    ml_backend: int
    task: int
    draft: int | None = None
    annotation: int | None = None
    opened: float = field(default_factory=time.monotonic)
    num_clicks: int = 0

    def prediction(self) -> dict[str, Any]:
        """Return the newest prediction of the task."""
        return dict(max(self.client.predictions(self.task), key=lambda each: int(each["id"])))

    def ask(self, result: list[Result], click: Result) -> list[Result]:
        """Save a draft, as the page does within five seconds, and ask the model by a click."""
        self.save(result)
        self.num_clicks += 1
        answer = self.client.call(
            "POST",
            f"/api/ml/{self.ml_backend}/interactive-annotating",
            json={"task": self.task, "context": {"result": [click]}},
        )
        return list(answer["data"]["result"])

    def save(self, result: list[Result]) -> None:
        """Save a draft."""
        body = {"result": result, "lead_time": self._lead_time(), "draft_id": self.draft or 0}
        if self.draft is not None:
            self.client.call("PATCH", f"/api/drafts/{self.draft}/", json=body)
        elif self.annotation is not None:
            path = f"/api/tasks/{self.task}/annotations/{self.annotation}/drafts"
            self.draft = int(self.client.call("POST", path, json=body)["id"])
        else:
            path = f"/api/tasks/{self.task}/drafts"
            self.draft = int(self.client.call("POST", path, json=body)["id"])

    def submit(self, result: list[Result], *, prediction: int) -> int:
        """Submit, or update what was submitted; return the annotation's id."""
        body = {
            "lead_time": self._lead_time(),
            "result": result,
            "draft_id": self.draft or 0,
            "parent_prediction": prediction,
            "parent_annotation": None,
            "project": self.project,
        }
        if self.annotation is None:
            path = f"/api/tasks/{self.task}/annotations/"
            self.annotation = int(self.client.call("POST", path, json=body)["id"])
        else:
            self.client.call("PATCH", f"/api/annotations/{self.annotation}/", json=body)
        self.draft = None
        return self.annotation

    def _lead_time(self) -> float:
        return round(time.monotonic() - self.opened, 3)
