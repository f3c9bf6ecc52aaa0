"""`/console/static`: style sheet and script."""

from __future__ import annotations

from fastapi import APIRouter, HTTPException, Request, Response

from backend.console.assets import STATIC_PATH

router = APIRouter(include_in_schema=False)

FOREVER = {"Cache-Control": "public, max-age=31536000, immutable"}


@router.get(STATIC_PATH + "{name}")
async def asset(request: Request, name: str) -> Response:
    """Return a file. 404: there is none of this name and hash."""
    found = request.app.state.renderer.assets.find(name)
    if found is None:
        raise HTTPException(404, "there is no such file; reload the page")
    return Response(found.content, media_type=found.media_type, headers=FOREVER)
