"""`/api/v1/models`: model versions, and the moves of the champion."""

from __future__ import annotations

from functools import partial

import anyio.to_thread
from fastapi import APIRouter

from backend.answers import Json
from backend.api.schemas import Reason, Version
from backend.dependencies import ServicesDep
from backend.model_cards import all_cards, card
from backend.model_moves import promote as promote_version
from backend.model_moves import roll_back as roll_back_champion
from backend.roles import AdministratorDep, ViewerDep

router = APIRouter(prefix="/api/v1", tags=["models"])


@router.get("/models")
async def versions(services: ServicesDep, _: ViewerDep) -> Json:
    """List all model versions, newest first."""
    cards = await anyio.to_thread.run_sync(all_cards, services.site.registry)
    return Json({"models": [each.to_json() for each in cards]})


@router.get("/models/{version}")
async def show(version: Version, services: ServicesDep, _: ViewerDep) -> Json:
    """Show a model version: its manifest, notes and moves. 404: there is none of this name."""
    found = await anyio.to_thread.run_sync(card, services.site.registry, version)
    return Json(found.to_json())


@router.post("/models/{version}/promote")
async def promote(version: Version, why: Reason, services: ServicesDep, caller: AdministratorDep) -> Json:
    """Make a version the champion. 409: somebody else moved the champion meanwhile."""
    request = partial(promote_version, services.site, version, reason=why.reason, actor=caller.name)
    champion = await anyio.to_thread.run_sync(request)
    return Json({"champion": champion.version, "epoch": champion.epoch})


@router.post("/rollback")
async def roll_back(why: Reason, services: ServicesDep, caller: AdministratorDep) -> Json:
    """Make the previous champion the champion again. 404: there is none."""
    request = partial(roll_back_champion, services.site, reason=why.reason, actor=caller.name)
    champion = await anyio.to_thread.run_sync(request)
    return Json({"champion": champion.version, "epoch": champion.epoch})
