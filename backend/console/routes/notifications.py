"""`/console/notifications`: who is notified of what, the delivery log, and the forms for channels."""

from __future__ import annotations

from functools import partial
from typing import Any

import anyio.to_thread
from fastapi import APIRouter, HTTPException, Request
from pydantic import ValidationError
from starlette.responses import HTMLResponse, Response

from backend.api.notifications import ChannelNumber, ChannelOrder
from backend.console.forms import read_form
from backend.console.rendering import render, see_other
from backend.dependencies import ServicesDep
from backend.roles import AdministratorDep
from mammo.notifications import TOPICS, Kind
from mammo.notifications.channels import QUIET_DAYS

router = APIRouter(prefix="/console/notifications", include_in_schema=False)

MAX_MESSAGES = 50

KINDS: dict[Kind, str] = {
    "email": "e-mail",
    "webhook": "signed webhook",
    "note": "note on the tasks that are predicted next",
}


@router.get("")
async def notifications(request: Request, services: ServicesDep, _: AdministratorDep) -> HTMLResponse:
    """List channels and messages."""
    service = services.site.notifications

    def read() -> dict[str, Any]:
        return {"channels": service.channels.all(), "messages": service.outbox.newest(limit=MAX_MESSAGES)}

    facts = await anyio.to_thread.run_sync(read)
    return render(
        request,
        "notifications.html",
        section="notifications",
        kinds=KINDS,
        topics=TOPICS,
        quiet_days=QUIET_DAYS,
        **facts,
    )


@router.post("")
async def add(request: Request, services: ServicesDep, caller: AdministratorDep) -> Response:
    """Add a channel."""
    form = await read_form(request)
    try:
        order = ChannelOrder.model_validate(
            {
                "kind": form.get("kind"),
                "target": form.get("target", ""),
                "project": form.get("project") or None,
                "topics": [each for each in TOPICS if f"topic-{each}" in form],
                "quiet_days": form.get("quiet_days") or QUIET_DAYS,
            }
        )
    except ValidationError as error:
        fields = ", ".join(sorted({str(each["loc"][0]) for each in error.errors()}))
        raise HTTPException(422, f"check these fields: {fields.replace('_', ' ')}") from None
    await anyio.to_thread.run_sync(partial(services.site.notifications.add, order.channel, actor=caller.name))
    return see_other("/console/notifications")


@router.post("/{number}/test")
async def test(
    request: Request, number: ChannelNumber, services: ServicesDep, _: AdministratorDep
) -> Response:
    """Send a test now; the log says how it ended."""
    await read_form(request)
    await anyio.to_thread.run_sync(services.site.notifications.test, number)
    return see_other("/console/notifications#log")


@router.post("/{number}/remove")
async def remove(
    request: Request, number: ChannelNumber, services: ServicesDep, caller: AdministratorDep
) -> Response:
    """Remove a channel."""
    await read_form(request)
    order = partial(services.site.notifications.channels.remove, number, actor=caller.name)
    await anyio.to_thread.run_sync(order)
    return see_other("/console/notifications")
