"""LabelDoubt: one reason why a label may be wrong."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from mammo.geometry import Box

Cause = Literal["missed", "nothing-there", "outline", "hasty", "readers-differ"]
"""`missed`: a lesion is predicted where no label is. `nothing-there`: a label where nothing is predicted. `outline`:
both have the lesion, and their outlines differ. `hasty`: a prelabel was accepted unchanged within seconds.
`readers-differ`: two people have read the image, and one of them differently."""

Answer = Literal["changed", "confirmed"]
"""`changed`: the reader corrected what was doubted. `confirmed`: the reader left it as it was."""


@dataclass(frozen=True, kw_only=True)
class LabelDoubt:
    """One doubt about the label of an image."""

    task: int
    annotation: int
    image: str
    """Key of the image within the task; empty for a single image."""

    revision: int
    """Row id of the doubted revision of the annotation."""

    cause: Cause
    score: float
    """Strength, in [0, 1]. It orders the doubts, and is no probability."""

    box: Box | None = None
    """Where to look, in pixels; None: at the whole image."""

    distance_mm: float | None = None
    """`outline`: mean distance of the two outlines, in mm."""

    model_version: str = ""
    """Whose prediction disagrees; empty if none is needed."""

    @property
    def sentence(self) -> str:
        """What the reader is asked, in words."""
        return {
            "missed": "a lesion may have been missed",
            "nothing-there": "there may be nothing in an outline",
            "outline": f"an outline may be off by {self.distance_mm or 0:.1f} mm",
            "hasty": "accepted within seconds: please look once more",
            "readers-differ": "another reader read this image differently",
        }[self.cause]


@dataclass(frozen=True, kw_only=True)
class StoredDoubt(LabelDoubt):
    """A doubt as it is recorded, and its answer."""

    id: int
    project: int
    user: int | None
    """Label Studio user who made the label."""

    found_at: datetime
    sent_at: datetime | None
    sent_event: int | None
    """Newest event when it was sent back; an answer is newer."""

    answer: Answer | None
    answered_at: datetime | None

    @property
    def state(self) -> str:
        """`open`, `sent back`, `changed` or `confirmed`."""
        return self.answer or ("sent back" if self.sent_at else "open")

    def to_json(self) -> dict[str, Any]:
        """Return the doubt as a JSON object, without its reader; the box as [x0, y0, x1, y1]."""
        return {
            "id": self.id,
            "task": self.task,
            "annotation": self.annotation,
            "image": self.image,
            "cause": self.cause,
            "score": self.score,
            "box": list(self.box.as_tuple()) if self.box else None,
            "distance_mm": self.distance_mm,
            "model_version": self.model_version,
            "state": self.state,
            "sent_at": self.sent_at.isoformat() if self.sent_at else None,
            "answered_at": self.answered_at.isoformat() if self.answered_at else None,
        }
