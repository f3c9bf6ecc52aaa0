"""`/console/models`: the model versions, one version with its card, and the forms that move the champion."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any, cast

import anyio.to_thread
from fastapi import APIRouter, Request
from markupsafe import Markup
from starlette.responses import HTMLResponse, Response

from backend.api.models import bundle_file, card_file, with_reader_names
from backend.api.schemas import Version
from backend.card_document import estimate
from backend.console.charts import Series, line_chart
from backend.console.forms import read_form, required_reason
from backend.console.rendering import render, see_other
from backend.dependencies import ServicesDep
from backend.model_cards import all_cards, card
from backend.model_evidence import ModelEvidence, descent
from backend.model_moves import promote as promote_version
from backend.model_moves import roll_back as roll_back_champion
from backend.refreshed import Figure
from backend.roles import AdministratorDep, ViewerDep
from backend.services import Services
from mammo.models import CHAMPION
from mammo.models.aliases import champion_stack
from mammo.runs.states import NO_PROJECT
from mammo.verdicts.versions import CommonFigures, Estimate

router = APIRouter(prefix="/console", include_in_schema=False)

MAX_RUNS = 100
"""Newest runs whose projects are shown."""


@router.get("/models")
async def models(request: Request, services: ServicesDep, _: ViewerDep) -> HTMLResponse:
    """List the versions, newest first, how they compare, and the champions until now."""
    evidence = cast(ModelEvidence, request.app.state.evidence)

    def read() -> dict[str, Any]:
        registry = services.site.registry
        history = registry.history()
        stack = champion_stack(history)
        return {
            "cards": all_cards(registry),
            "pins": list(services.site.pins.all().values()),
            "projects": sorted({*services.site.store.projects(), *services.site.runs.runs.projects()} - {0}),
            "history": list(reversed(history)),
            "before": stack[-2] if len(stack) > 1 else None,
            "compared": [(each, *_compared(evidence, each)) for each in _projects(services)],
        }

    facts = await anyio.to_thread.run_sync(read)
    return render(request, "models.html", section="models", estimate=estimate, **facts)


@router.post("/models/rollback")
async def roll_back(request: Request, services: ServicesDep, caller: AdministratorDep) -> Response:
    """Make the previous champion the champion again."""
    reason = required_reason(await read_form(request))
    await anyio.to_thread.run_sync(
        partial(roll_back_champion, services.site, reason=reason, actor=caller.name)
    )
    return see_other("/console/models")


@router.get("/models/{version}")
async def model(request: Request, version: Version, services: ServicesDep, caller: ViewerDep) -> HTMLResponse:
    """Show a version: its descent, its card, and when it was champion."""
    evidence = cast(ModelEvidence, request.app.state.evidence)
    names = request.app.state.reader_names

    def read() -> dict[str, Any]:
        registry = services.site.registry
        found = card(registry, version)
        document = evidence.card(found.version)
        if document.value is not None:
            document = replace(document, value=with_reader_names(document.value, names, caller))
        return {
            "card": found,
            "is_champion": CHAMPION in found.aliases,
            "line": descent(registry, found.version),
            "document": document,
            "can_export": services.settings.bundle_key is not None,
            "pinned_in": sorted(
                project for project, pin in services.site.pins.versions().items() if pin == found.version
            ),
        }

    return render(request, "model.html", section="models", **await anyio.to_thread.run_sync(read))


@router.get("/models/{version}/card.md")
async def as_markdown(version: Version, services: ServicesDep, _: ViewerDep) -> Response:
    """Return the card as a file."""
    return await card_file(services, version)


@router.get("/models/{version}/bundle")
async def bundle(version: Version, services: ServicesDep, _: AdministratorDep) -> Response:
    """Return the signed bundle of a version. 409: no key is set, or the weights must not leave the site."""
    return await bundle_file(services, version)


@router.post("/models/{version}/promote")
async def promote(
    request: Request, version: Version, services: ServicesDep, caller: AdministratorDep
) -> Response:
    """Make a version the champion."""
    reason = required_reason(await read_form(request))
    move = partial(promote_version, services.site, version, reason=reason, actor=caller.name)
    await anyio.to_thread.run_sync(move)
    return see_other(f"/console/models/{version}")


def _projects(services: Services) -> list[int]:
    """Return the projects in which a challenger was judged."""
    newest = services.site.runs.runs.newest(limit=MAX_RUNS)
    return sorted({run.project for run in newest if run.state in ("promoted", "kept")} - {NO_PROJECT})


def _compared(evidence: ModelEvidence, project: int) -> tuple[Figure[CommonFigures | None], Markup]:
    figure = evidence.on_common_images(project)
    if figure.value is None or len(figure.value.versions) < 2:
        return figure, Markup("")

    def points(estimates: list[Estimate | None]) -> list[tuple[float, float]]:
        return [(number, each.value) for number, each in enumerate(estimates) if each is not None]

    versions = figure.value.versions
    series = [
        Series("sensitivity", points([each.sensitivity for each in versions])),
        Series("Dice", points([each.dice for each in versions])),
    ]
    title = f"Sensitivity and Dice of the versions judged in project {project}, oldest first"
    return figure, line_chart(title, series, low=0.0, high=1.0)
