"""`/api/v1/projects/{project}/shadow`: two versions on the same tasks, and pictures of where they differ."""

from __future__ import annotations

from functools import partial
from typing import Any, cast

import anyio.to_thread
from fastapi import APIRouter, Request
from starlette.responses import Response

from backend.answers import Json
from backend.api.schemas import Number, VersionQuery
from backend.api.verdicts import PICTURE_HEADERS, Digest
from backend.dependencies import ServicesDep
from backend.refreshed import Figure
from backend.roles import ViewerDep
from backend.shadow_pictures import ShadowPictures, ShownPlace

router = APIRouter(prefix="/api/v1", tags=["models"])


@router.get("/projects/{project}/shadow")
async def shadow(
    project: Number,
    services: ServicesDep,
    _: ViewerDep,
    first: VersionQuery = "champion",
    second: VersionQuery = "challenger",
) -> Json:
    """Compare two versions' predictions of the same tasks: with each other, and with the corrections."""
    compare = partial(services.site.comparison, project, (first, second))
    return Json(await anyio.to_thread.run_sync(compare))


@router.get("/projects/{project}/shadow/places")
async def places(
    request: Request,
    project: Number,
    services: ServicesDep,
    _: ViewerDep,
    first: VersionQuery = "champion",
    second: VersionQuery = "challenger",
) -> Json:
    """Show where two versions differ, on the tasks where they differ most, each place with its picture.

    Pictures are drawn in the background: `places` is null until they are, and `problem` says why if they cannot be.
    """

    def read() -> Figure[tuple[ShownPlace, ...]]:
        comparison = services.site.comparison(project, (first, second))
        return drawn_places(request, project, comparison)

    figure = await anyio.to_thread.run_sync(read)
    address = f"/api/v1/projects/{project}/shadow/pictures"
    shown = None if figure.value is None else [each.to_json(address) for each in figure.value]
    return Json({"project": project, "places": shown, "problem": figure.problem or None})


@router.get("/projects/{project}/shadow/pictures/{digest}", response_class=Response)
async def picture(request: Request, project: Number, digest: Digest, _: ViewerDep) -> Response:
    """Return a picture of `places`, as WebP. 404: it is not kept any more."""
    return await shadow_picture(request, project, digest)


def drawn_places(
    request: Request, project: int, comparison: dict[str, Any]
) -> Figure[tuple[ShownPlace, ...]]:
    """Return the pictures of a comparison; see `Site.comparison`."""
    pictures = cast(ShadowPictures, request.app.state.shadow_pictures)
    tasks = [each["task"] for each in comparison["differing"]]
    return pictures.get(project, comparison["versions"], tasks)


async def shadow_picture(request: Request, project: int, digest: str) -> Response:
    """Return a picture that was drawn for a project; raises UnknownRun: there is none, or it was forgotten."""
    pictures = cast(ShadowPictures, request.app.state.shadow_pictures)
    content = await anyio.to_thread.run_sync(pictures.picture, project, digest)
    return Response(content, media_type="image/webp", headers=PICTURE_HEADERS)
