"""The sections of the navigation, in their order."""

from __future__ import annotations

from dataclasses import dataclass

from mammo.access.roles import Role


@dataclass(frozen=True)
class Section:
    """One entry of the navigation."""

    name: str
    """What a page names as its section."""

    title: str
    path: str
    role: Role = "viewer"
    """Who sees it."""


SECTIONS = (
    Section("overview", "Overview", "/console"),
    Section("runs", "Runs", "/console/runs"),
    Section("models", "Models", "/console/models"),
    Section("people", "People", "/console/people"),
    Section("look-again", "Look again", "/console/look-again"),
    Section("pacs", "PACS", "/console/pacs", "lead"),
    Section("notifications", "Notifications", "/console/notifications", "administrator"),
    Section("audit", "Audit", "/console/audit", "administrator"),
    Section("docs", "HTTP API", "/docs"),
)
