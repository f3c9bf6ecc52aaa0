"""`/api/v1/runs/{name}/verdict`: why a challenger won or lost, with pictures."""

from __future__ import annotations

from typing import Annotated

import anyio.to_thread
from fastapi import APIRouter, Path, Query
from starlette.responses import Response

from backend.answers import Json
from backend.dependencies import ServicesDep
from backend.roles import ViewerDep
from backend.routes.runs import RunId
from backend.services import Services
from backend.verdict_views import VerdictView
from mammo.verdicts.places import Kind

router = APIRouter(prefix="/api/v1", tags=["runs"])

Digest = Annotated[str, Path(pattern=r"^[0-9a-f]{64}$")]
PageNumber = Annotated[int, Query(gt=0, le=10_000)]

PICTURE_HEADERS = {"Cache-Control": "private, max-age=31536000, immutable"}
"""Of a picture: its name is the hash of its content, and only who is logged in may keep it."""


@router.get("/runs/{name}/verdict")
async def verdict(
    name: RunId, services: ServicesDep, _: ViewerDep, only: Kind | None = None, page: PageNumber = 1
) -> Json:
    """Show a verdict: figures, FROC curves, strata, and its lesions and false alarms by page, worst first.

    404: there is no such run, or it has no record of its verdict.
    """

    def read() -> VerdictView:
        return read_view(
            services, name, pictures=f"/api/v1/runs/{name}/verdict/pictures", only=only, page=page
        )

    return Json((await anyio.to_thread.run_sync(read)).to_json())


@router.get("/runs/{name}/verdict/pictures/{digest}", response_class=Response)
async def picture(name: RunId, digest: Digest, services: ServicesDep, _: ViewerDep) -> Response:
    """Return a picture of a verdict, as WebP. 404: the record of this run does not name it."""
    return await picture_answer(services, name, digest)


def read_view(services: Services, name: str, *, pictures: str, only: Kind | None, page: int) -> VerdictView:
    """Return a page of a run's verdict; see `VerdictView.of`.

    Raises:
        UnknownRun, InvalidWeights, StorageUnavailable: see `VerdictArchive.read`.
    """
    archive = services.site.verdicts
    run = archive.runs.get(name)
    return VerdictView.of(archive.read(run), run, pictures=pictures, only=only, page=page)


async def picture_answer(services: Services, name: str, digest: str) -> Response:
    """Return a picture of a run's verdict, which a browser may keep; raises UnknownRun: the record names no such."""
    archive = services.site.verdicts

    def read() -> bytes:
        return archive.picture_of(archive.runs.get(name), digest)

    content = await anyio.to_thread.run_sync(read)
    return Response(content, media_type="image/webp", headers=PICTURE_HEADERS)
