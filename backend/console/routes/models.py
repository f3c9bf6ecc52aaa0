"""`/console/models`: the model versions, one version, and the forms that move the champion."""

from __future__ import annotations

from functools import partial
from typing import Any

import anyio.to_thread
from fastapi import APIRouter, HTTPException, Request
from starlette.responses import HTMLResponse, Response

from backend.api.schemas import Version
from backend.console.forms import read_form
from backend.console.rendering import render, see_other
from backend.dependencies import ServicesDep
from backend.model_cards import all_cards, card
from backend.model_moves import promote as promote_version
from backend.model_moves import roll_back as roll_back_champion
from backend.roles import AdministratorDep, ViewerDep
from mammo.models import CHAMPION
from mammo.models.aliases import champion_stack

router = APIRouter(prefix="/console", include_in_schema=False)

PARTS = ("detector", "segmenter")


@router.get("/models")
async def models(request: Request, services: ServicesDep, _: ViewerDep) -> HTMLResponse:
    """List the versions, newest first, and the champions until now."""
    registry = services.site.registry

    def read() -> dict[str, Any]:
        history = registry.history()
        stack = champion_stack(history)
        return {
            "cards": all_cards(registry),
            "history": list(reversed(history)),
            "before": stack[-2] if len(stack) > 1 else None,
        }

    return render(request, "models.html", section="models", **await anyio.to_thread.run_sync(read))


@router.post("/models/rollback")
async def roll_back(request: Request, services: ServicesDep, caller: AdministratorDep) -> Response:
    """Make the previous champion the champion again."""
    reason = _reason(await read_form(request))
    await anyio.to_thread.run_sync(
        partial(roll_back_champion, services.site, reason=reason, actor=caller.name)
    )
    return see_other("/console/models")


@router.get("/models/{version}")
async def model(request: Request, version: Version, services: ServicesDep, _: ViewerDep) -> HTMLResponse:
    """Show the card of a version."""
    found = await anyio.to_thread.run_sync(card, services.site.registry, version)
    facts = [
        (name, value)
        for name, value in sorted(found.manifest.items())
        if isinstance(value, str | int | float) and name not in ("version", "parent", "created_at")
    ]
    return render(
        request,
        "model.html",
        section="models",
        card=found,
        is_champion=CHAMPION in found.aliases,
        facts=facts,
        parts=[(part, found.manifest.get(part) or {}) for part in PARTS],
        figures=_figures(found.verdict),
    )


@router.post("/models/{version}/promote")
async def promote(
    request: Request, version: Version, services: ServicesDep, caller: AdministratorDep
) -> Response:
    """Make a version the champion."""
    reason = _reason(await read_form(request))
    move = partial(promote_version, services.site, version, reason=reason, actor=caller.name)
    await anyio.to_thread.run_sync(move)
    return see_other(f"/console/models/{version}")


def _figures(verdict: Any) -> list[tuple[str, float]]:
    """Return the figures of the version in its verdict."""
    own = (verdict.get("verdict") or {}).get("challenger") or {}
    return [
        (name.replace("_", " at "), value) for name, value in own.items() if isinstance(value, int | float)
    ]


def _reason(form: dict[str, str]) -> str:
    reason = form.get("reason", "")[:1000]
    if not reason:
        raise HTTPException(422, "give a reason: it is kept in the history")
    return reason
