"""Entry: one line of the audit trail. Its hash covers all it says, and the hash of the entry before it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Literal

Action = Literal[
    "model promoted",
    "model rolled back",
    "provisional model serves",
    "provisional model withdrawn",
    "project pinned",
    "project unpinned",
    "run started",
    "run refused",
    "run cancelled",
    "run resumed",
    "stage changed",
    "images retrieved",
    "PACS searched",
    "import started",
    "import continued",
    "import stopped",
    "results sent",
    "results retried",
    "channel added",
    "channel removed",
    "problem repaired",
    "user added",
    "user removed",
    "user's role changed",
    "user's password changed",
    "key added",
    "key revoked",
    "labels sent back",
    "known cases named",
    "words switched on",
    "words switched off",
]

REFUSED_RUN: Action = "run refused"
"""Label Studio's button asked for a run that could not succeed."""

GENESIS = "0" * 64
"""What the first entry names as the hash before it."""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """Who did what, when and why."""

    number: int
    """Place in the chain; the first is 1."""

    at: datetime
    actor: str
    """A console user, `key NAME`, `user@host` of a command, or what acts by itself, such as `gate`."""

    action: str
    subject: str
    """A run, a model version, a project, a user or a key."""

    reason: str
    previous: str
    """Hash of the entry before."""

    hash: str

    def computed_hash(self) -> str:
        """Return the hash that the entry must have: SHA-256 of a JSON list of its other fields in this order."""
        fields = [
            self.number,
            iso(self.at),
            self.actor,
            self.action,
            self.subject,
            self.reason,
            self.previous,
        ]
        # `json` writes what is not ASCII as escapes, lone surrogates too: the same bytes on every database.
        return hashlib.sha256(json.dumps(fields, separators=(",", ":")).encode("ascii")).hexdigest()

    def to_json(self) -> dict[str, Any]:
        """Return the entry as a JSON object, with its time as ISO text."""
        return {**asdict(self), "at": iso(self.at)}


def iso(moment: datetime) -> str:
    """Return a time as ISO text in UTC, with microseconds."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds")
