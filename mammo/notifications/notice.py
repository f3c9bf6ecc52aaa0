"""Notice: one message to people. Built from numbers, names of models and runs, and sentences of ours only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, get_args

import orjson

Topic = Literal[
    "run-finished",
    "run-failed",
    "run-refused",
    "promoted",
    "rolled-back",
    "sent-back",
    "corrections-stopped",
    "disk-nearly-full",
]
"""`run-refused`: a run that Label Studio's button asked for could not succeed; `sent-back`: the audit returned a
project to a lower stage."""

TOPICS: tuple[Topic, ...] = get_args(Topic)

TEST = "test"
"""Topic of a notice that only tests its channel."""


@dataclass(frozen=True, kw_only=True)
class Notice:
    """One thing that happened. No field holds text of a task, an image or a person."""

    event: str
    """Identifies the event; a channel receives each event once."""

    topic: str
    """A `Topic`, or `TEST`."""

    project: int | None
    """Label Studio project; None if it concerns the whole site."""

    at: datetime
    text: str
    """One or two sentences: what happened, and what to do."""

    facts: Mapping[str, str | int | float] = field(default_factory=dict)
    """The same for programs."""

    def body(self, message: str) -> bytes:
        """Return the JSON that is stored and sent; the same bytes in every attempt.

        Args:
            message: id of the message, by which a receiver recognises a repetition.
        """
        return orjson.dumps(
            {
                "id": message,
                "topic": self.topic,
                "project": self.project,
                "at": self.at.isoformat(timespec="seconds"),
                "text": self.text,
                "facts": dict(self.facts),
            }
        )


def subject(body: Mapping[str, Any]) -> str:
    """Return a title of a notice, for example `project 3: run failed`."""
    place = "site" if body["project"] is None else f"project {body['project']}"
    return f"{place}: {str(body['topic']).replace('-', ' ')}"
