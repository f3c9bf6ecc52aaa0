"""`/setup` and `/versions`: which model version answers. Asked on every list and predict, so it only reads memory."""

from __future__ import annotations

from fastapi import APIRouter, Depends

from backend.auth import require_basic
from backend.dependencies import ServicesDep

router = APIRouter(dependencies=[Depends(require_basic)])


@router.post("/setup")
async def setup(services: ServicesDep) -> dict[str, str]:
    """The version string that `/predict` answers with too: a difference would make Label Studio ask for ever.

    The body (the project's config, and an access token that we do not want) is not read.
    """
    return {"model_version": services.host.current().version}


@router.get("/versions")
async def versions(services: ServicesDep) -> dict[str, list[str]]:
    status = services.host.status()
    return {"versions": [status.serving] if status.serving else []}
