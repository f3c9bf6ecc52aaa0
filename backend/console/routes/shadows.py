"""`/console/projects/ID/shadow`: how two versions predicted the same tasks, and on pictures where they differ."""

from __future__ import annotations

from typing import Any, cast

import anyio.to_thread
from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse, Response

from backend.api.schemas import Number, VersionQuery
from backend.api.shadows import drawn_places, shadow_picture
from backend.api.verdicts import Digest
from backend.console.rendering import render
from backend.dependencies import ServicesDep
from backend.model_evidence import ModelEvidence
from backend.roles import ViewerDep
from backend.shadow_pictures import MAX_PLACES, MAX_TASKS
from mammo.models import CHALLENGER, CHAMPION, PREVIOUS
from mammo.verdicts import drawing

router = APIRouter(prefix="/console/projects/{project}/shadow", include_in_schema=False)


@router.get("")
async def shadow(
    request: Request,
    project: Number,
    services: ServicesDep,
    _: ViewerDep,
    first: VersionQuery = "champion",
    second: VersionQuery = "challenger",
) -> HTMLResponse:
    """Show how two versions predicted the same tasks, and where they differ most."""
    evidence = cast(ModelEvidence, request.app.state.evidence)

    def read() -> dict[str, Any]:
        registry = services.site.registry
        figure = evidence.shadow(project, first, second)
        return {
            "names": [CHAMPION, CHALLENGER, PREVIOUS, *reversed(registry.versions())],
            "figure": figure,
            "places": drawn_places(request, project, figure.value) if figure.value else None,
        }

    facts = await anyio.to_thread.run_sync(read)
    settings = services.settings
    return render(
        request,
        "shadow.html",
        section="models",
        project=project,
        first=first,
        second=second,
        drawing=drawing,
        address=lambda place: f"/console/projects/{project}/shadow/pictures/{place.picture.sha256}",
        max_tasks=MAX_TASKS,
        max_places=MAX_PLACES,
        label_studio=settings.label_studio_public_url or settings.label_studio_url,
        **facts,
    )


@router.get("/pictures/{digest}")
async def picture(request: Request, project: Number, digest: Digest, _: ViewerDep) -> Response:
    """Return a picture of the page."""
    return await shadow_picture(request, project, digest)
