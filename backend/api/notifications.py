"""`/api/v1/notifications`: who is notified of what, a test, and the delivery log."""

from __future__ import annotations

from functools import partial
from typing import Annotated

import anyio.to_thread
from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, ConfigDict, Field

from backend.answers import Json
from backend.dependencies import ServicesDep
from backend.roles import AdministratorDep
from mammo.notifications import Kind, NewChannel, Topic
from mammo.notifications.channels import MAX_TARGET, QUIET_DAYS

router = APIRouter(prefix="/api/v1/notifications", tags=["notifications"])

ChannelNumber = Annotated[int, Path(gt=0, lt=2**63)]


class ChannelOrder(BaseModel):
    """A new channel."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [{"kind": "email", "target": "admin@hospital.example", "topics": ["run-failed"]}]
        },
    )

    kind: Kind
    target: str = Field("", max_length=MAX_TARGET)
    """Address; empty for a note."""

    project: int | None = Field(None, gt=0, lt=2**63)
    """Only of this project, and of the whole site; null: of every project."""

    topics: list[Topic] = Field(default_factory=list, max_length=20)
    """Empty: all."""

    quiet_days: int = Field(QUIET_DAYS, ge=1, le=365)

    @property
    def channel(self) -> NewChannel:
        return NewChannel(**{**self.model_dump(), "topics": tuple(self.topics)})


@router.get("/channels")
async def channels(services: ServicesDep, _: AdministratorDep) -> Json:
    """List the channels. Of a webhook's address only scheme, host and port are shown."""
    found = await anyio.to_thread.run_sync(services.site.notifications.channels.all)
    return Json({"channels": [each.to_json() for each in found]})


@router.post("/channels", status_code=201)
async def add(order: ChannelOrder, services: ServicesDep, caller: AdministratorDep) -> Json:
    """Add a channel. 422: its address is none, or it exists; 409: a setting is missing."""
    request = partial(services.site.notifications.add, order.channel, actor=caller.name)
    return Json((await anyio.to_thread.run_sync(request)).to_json(), 201)


@router.delete("/channels/{number}")
async def remove(number: ChannelNumber, services: ServicesDep, caller: AdministratorDep) -> Json:
    """Remove a channel; what waits for it is not sent. 422: there is none of this number."""
    request = partial(services.site.notifications.channels.remove, number, actor=caller.name)
    return Json((await anyio.to_thread.run_sync(request)).to_json())


@router.post("/channels/{number}/test")
async def test(number: ChannelNumber, services: ServicesDep, _: AdministratorDep) -> Json:
    """Send a test now, once; the answer says in `state` and `problem` how it ended."""
    message = await anyio.to_thread.run_sync(services.site.notifications.test, number)
    return Json(message.to_json())


@router.get("/log")
async def log(
    services: ServicesDep,
    _: AdministratorDep,
    channel: Annotated[int | None, Query(gt=0, lt=2**63)] = None,
    limit: Annotated[int, Query(gt=0, le=1000)] = 50,
) -> Json:
    """List messages, newest first: when each was delivered, or why not and when it is tried again."""
    read = partial(services.site.notifications.outbox.newest, channel=channel, limit=limit)
    return Json({"messages": [each.to_json() for each in await anyio.to_thread.run_sync(read)]})
