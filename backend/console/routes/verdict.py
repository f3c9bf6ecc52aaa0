"""`/console/runs/RUN/verdict`: why a challenger won or lost, on pictures, and the forms that overrule the gate."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any

import anyio.to_thread
from fastapi import APIRouter, HTTPException, Path, Query, Request
from starlette.responses import HTMLResponse, Response

from backend.api.verdicts import Digest, PageNumber, picture_answer, read_view
from backend.console.forms import read_form, required_reason
from backend.console.rendering import render, see_other
from backend.dependencies import ServicesDep
from backend.model_moves import promote as promote_version
from backend.model_moves import roll_back as roll_back_champion
from backend.roles import AdministratorDep, ViewerDep
from backend.routes.runs import RunId
from backend.services import Services
from mammo.verdicts import drawing
from mammo.verdicts.places import Kind
from mammo.verdicts.record import Image, Picture, VerdictRecord
from mammo.verdicts.strata import PARTS

router = APIRouter(prefix="/console/runs/{name}/verdict", include_in_schema=False)

ENLARGED = 2
"""Factor of the largest size of a whole mammogram."""


@router.get("")
async def verdict(
    request: Request,
    name: RunId,
    services: ServicesDep,
    _: ViewerDep,
    only: Kind | None = None,
    page: PageNumber = 1,
) -> HTMLResponse:
    """Show a verdict; `only` and `page` choose among its places."""

    def read() -> dict[str, Any]:
        view = read_view(
            services, name, pictures=f"/console/runs/{name}/verdict/pictures", only=only, page=page
        )
        champion = services.site.registry.champion().version
        challenger = view.facts["record"].challenger.version
        return {**view.facts, "view": view, "serves": champion == challenger, "serving": champion}

    facts = await anyio.to_thread.run_sync(read)
    project = facts["record"].project
    return render(
        request, "run_verdict.html", section="runs", task_address=_tasks(services, project), **facts
    )


@router.get("/pictures/{digest}")
async def picture(name: RunId, digest: Digest, services: ServicesDep, _: ViewerDep) -> Response:
    """Return a picture that the record of this run names."""
    return await picture_answer(services, name, digest)


@router.get("/images/{number}")
async def image(
    request: Request,
    name: RunId,
    number: Annotated[int, Path(ge=0, lt=1_000_000)],
    services: ServicesDep,
    _: ViewerDep,
    size: Annotated[int | None, Query(ge=0, le=10)] = None,
) -> HTMLResponse:
    """Show a whole mammogram with truth, champion and challenger; `size` is the number of one of its sizes."""
    archive = services.site.verdicts
    record = await anyio.to_thread.run_sync(lambda: archive.read(archive.runs.get(name)))
    if number >= len(record.images):
        raise HTTPException(404, f"the verdict has {len(record.images)} images; this is none of them")
    found = record.images[number]
    sizes = _sizes(found)
    if size is not None and size >= len(sizes):
        raise HTTPException(404, "this mammogram is not kept in that size; go back to its page")
    facts = _shown(found, sizes, size)
    return render(
        request,
        "run_image.html",
        section="runs",
        record=record,
        image=found,
        number=number,
        sizes=sizes,
        size=size,
        parts=PARTS,
        drawing=drawing,
        task_address=_tasks(services, record.project),
        **facts,
    )


@router.post("/promote")
async def promote(name: RunId, request: Request, services: ServicesDep, caller: AdministratorDep) -> Response:
    """Make the challenger of this run the champion."""
    reason = required_reason(await read_form(request))
    record = await anyio.to_thread.run_sync(_record, services, name)
    move = partial(
        promote_version, services.site, record.challenger.version, reason=reason, actor=caller.name
    )
    await anyio.to_thread.run_sync(move)
    return see_other(f"/console/runs/{name}/verdict")


@router.post("/rollback")
async def roll_back(
    name: RunId, request: Request, services: ServicesDep, caller: AdministratorDep
) -> Response:
    """Make the previous champion the champion again, if the challenger of this run serves."""
    reason = required_reason(await read_form(request))
    record = await anyio.to_thread.run_sync(_record, services, name)
    move = partial(
        roll_back_champion,
        services.site,
        reason=reason,
        actor=caller.name,
        version=record.challenger.version,
    )
    await anyio.to_thread.run_sync(move)
    return see_other(f"/console/runs/{name}/verdict")


def _record(services: Services, name: str) -> VerdictRecord:
    archive = services.site.verdicts
    return archive.read(archive.runs.get(name))


def _tasks(services: Services, project: int) -> Any:
    """Return the address of a task in Label Studio by its number; None if Label Studio's address is not set."""
    settings = services.settings
    url = settings.label_studio_public_url or settings.label_studio_url
    if not url or not project:
        return None
    return lambda task: f"{url.rstrip('/')}/projects/{project}/data?task={task}"


def _sizes(image: Image) -> list[tuple[str, Picture, tuple[int, int]]]:
    """Return the sizes of a whole mammogram on the screen: a name, the kept picture, width and height."""
    sizes = [(f"{each.width / image.size[0]:.0%}", each, (each.width, each.height)) for each in image.levels]
    if image.levels:
        last = image.levels[-1]
        width, height = ENLARGED * last.width, ENLARGED * last.height
        sizes.append((f"{width / image.size[0]:.0%}", last, (width, height)))
    return sizes


def _shown(
    image: Image, sizes: list[tuple[str, Picture, tuple[int, int]]], size: int | None
) -> dict[str, Any]:
    """Return the picture, and its size on the screen; None for as wide as there is room."""
    if not sizes:
        return {"picture": None, "on_screen": None}
    if size is None:
        return {"picture": image.levels[min(1, len(image.levels) - 1)], "on_screen": None}
    _, picture, on_screen = sizes[size]
    return {"picture": picture, "on_screen": on_screen}
