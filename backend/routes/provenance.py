"""Provenance of corrections, edit effort, and comparison of two model versions."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from functools import partial
from typing import Annotated

import anyio.to_thread
from fastapi import APIRouter, HTTPException, Path, Query

from backend.answers import Json
from backend.dependencies import ServicesDep
from mammo.efforts.effort_records import GROUPS, grouped

router = APIRouter()

Number = Annotated[int, Path(gt=0, lt=2**63)]


@router.get("/annotations/{annotation}/trace")
async def trace(annotation: Number, services: ServicesDep) -> Json:
    """Trace an annotation: prelabel, corrections, dataset versions, runs, model versions. 404: unknown annotation."""
    result = await anyio.to_thread.run_sync(services.site.trace, annotation)
    return Json(result.to_json())


@router.get("/projects/{project}/effort")
async def effort(
    project: Number,
    services: ServicesDep,
    by: Annotated[
        str, Query(description=f"comma-separated: {', '.join(GROUPS)}", max_length=100)
    ] = "model,arm",
) -> Json:
    """Edit effort of a project's corrections, one row per group, and the corrections that cannot be read."""
    names = [name.strip() for name in by.split(",") if name.strip()]
    repeated = [name for name, count in Counter(names).items() if count > 1]
    if not names or repeated or not set(names) <= set(GROUPS):
        raise HTTPException(422, f"`by` takes distinct names from {', '.join(GROUPS)}, got {by!r}")
    efforts = await anyio.to_thread.run_sync(partial(services.site.efforts, project))
    rows = [
        {**dict(zip(names, group, strict=True)), **summary.to_json()}
        for group, summary in grouped(efforts.records, names).items()
    ]
    unreadable = [asdict(each) for each in efforts.unreadable]
    return Json({"project": project, "groups": rows, "unreadable": unreadable})


@router.get("/projects/{project}/shadow")
async def shadow(
    project: Number,
    services: ServicesDep,
    versions: Annotated[
        str, Query(description="two model versions, comma-separated", max_length=200)
    ] = "champion,challenger",
) -> Json:
    """Compare two versions' predictions of the same tasks: with each other, and with the corrections."""
    names = [name.strip() for name in versions.split(",") if name.strip()]
    if len(names) != 2:
        raise HTTPException(422, f"`versions` takes two model versions, got {versions!r}")
    return Json(await anyio.to_thread.run_sync(services.site.comparison, project, names))
