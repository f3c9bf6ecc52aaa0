"""`/api/v1/audit`: who did what, when and why."""

from __future__ import annotations

from functools import partial
from typing import Annotated

import anyio.to_thread
from fastapi import APIRouter, Query

from backend.answers import Json
from backend.dependencies import ServicesDep
from backend.roles import AdministratorDep

router = APIRouter(prefix="/api/v1", tags=["audit"])


@router.get("/audit")
async def newest(
    services: ServicesDep,
    _: AdministratorDep,
    before: Annotated[int | None, Query(gt=0, lt=2**63)] = None,
    limit: Annotated[int, Query(gt=0, le=1000)] = 100,
) -> Json:
    """List entries, newest first; `before` is the number of an entry, from which on the list continues."""
    read = partial(services.site.access.trail.newest, before=before, limit=limit)
    return Json({"entries": [entry.to_json() for entry in await anyio.to_thread.run_sync(read)]})


@router.get("/audit/verification")
async def verify(services: ServicesDep, _: AdministratorDep) -> Json:
    """Compute every hash of the chain again; `problem` is null if it is whole."""
    result = await anyio.to_thread.run_sync(services.site.access.trail.verify)
    return Json({"entries": result.num_entries, "head": result.head, "problem": result.problem})
