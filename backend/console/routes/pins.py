"""`/console/pins`: the forms that keep a project on one model version, and let it follow the champion again."""

from __future__ import annotations

import re
from functools import partial

import anyio.to_thread
from fastapi import APIRouter, HTTPException, Request
from starlette.responses import Response

from backend.api.schemas import VERSION
from backend.console.forms import read_form, required_reason
from backend.console.rendering import see_other
from backend.dependencies import ServicesDep
from backend.model_moves import pin as pin_project
from backend.model_moves import unpin as unpin_project
from backend.roles import AdministratorDep

router = APIRouter(prefix="/console/pins", include_in_schema=False)


@router.post("")
async def pin(request: Request, services: ServicesDep, caller: AdministratorDep) -> Response:
    """Keep a project on a version."""
    form = await read_form(request)
    project, version = _project(form), form.get("version", "")[:64]
    if not re.fullmatch(VERSION, version, re.ASCII):
        raise HTTPException(422, "choose a model version")
    order = partial(
        pin_project, services.site, project, version, reason=required_reason(form), actor=caller.name
    )
    await anyio.to_thread.run_sync(order)
    return see_other("/console/models#pins")


@router.post("/remove")
async def unpin(request: Request, services: ServicesDep, caller: AdministratorDep) -> Response:
    """Let a project follow the champion again."""
    form = await read_form(request)
    order = partial(
        unpin_project, services.site, _project(form), reason=required_reason(form), actor=caller.name
    )
    await anyio.to_thread.run_sync(order)
    return see_other("/console/models#pins")


def _project(form: dict[str, str]) -> int:
    number = form.get("project", "")
    if not re.fullmatch(r"[1-9][0-9]{0,17}", number, re.ASCII):
        raise HTTPException(422, "choose a project: the number in the address of its page in Label Studio")
    return int(number)
