"""Whether Label Studio has a project, asked before something is recorded for it."""

from __future__ import annotations

from mammo.errors import LabelStudioError, UnknownProject
from mammo.labelstudio.client import LabelStudioClient


def require_project(client: LabelStudioClient | None, project: int) -> None:
    """Refuse a project that does not exist. While Label Studio is not set or does not answer, none is refused.

    Raises:
        UnknownProject: Label Studio answers that there is no such project, or that our user may not see it.
    """
    if client is None:
        return
    try:
        client.project(project)
    except LabelStudioError as error:
        if error.code in ("label_studio_403", "label_studio_404"):
            raise UnknownProject(
                f"Label Studio at {client.origin} has no project {project}, or the user of our token may not see it; "
                "the number is in the address of the project's page"
            ) from None
