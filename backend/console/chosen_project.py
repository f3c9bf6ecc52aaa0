"""The project that a page shows: the one that its address names, or the first."""

from __future__ import annotations

from fastapi import HTTPException

from backend.services import Services


def chosen_project(services: Services, project: int | None) -> tuple[int | None, list[int]]:
    """Return the project to show, and all that have annotations or prelabels; None if there is none yet.

    Raises:
        HTTPException: 404, the named project is not known.
    """
    projects = sorted(set(services.site.store.projects()) - {0})
    if project is not None and project not in projects:
        raise HTTPException(404, f"project {project} is not known here: nothing of it has been read yet")
    return project or (projects[0] if projects else None), projects
