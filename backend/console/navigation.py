"""The sections of the navigation, in their order."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Section:
    """One entry of the navigation."""

    name: str
    """What a page names as its section."""

    title: str
    path: str


SECTIONS = (
    Section("overview", "Overview", "/console"),
    Section("runs", "Runs", "/console/runs"),
    Section("models", "Models", "/console/models"),
    Section("audit", "Audit", "/console/audit"),
)
