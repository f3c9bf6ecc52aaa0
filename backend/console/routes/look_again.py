"""`/console/look-again`: labels that are probably wrong, and the forms that search for them and send them back."""

from __future__ import annotations

import re
from datetime import datetime
from functools import partial
from typing import Annotated, Any

import anyio.to_thread
from fastapi import APIRouter, HTTPException, Query, Request
from starlette.responses import HTMLResponse, Response

from backend.console.chosen_project import chosen_project
from backend.console.forms import read_form
from backend.console.rendering import render, see_other
from backend.dependencies import ServicesDep
from backend.requested_looks import (
    DEFAULT_PREDICTIONS,
    DEFAULT_SENT,
    MAX_SENT,
    cancel_search,
    search,
    send_back,
)
from backend.roles import LeadDep, ViewerDep, sees_names
from backend.services import Services
from mammo.efforts.effort_records import annotator_pseudonym
from mammo.errors import MammoError
from mammo.runs.jobs import ACTIVE
from mammo.runs.payloads import MAX_FOLDS
from mammo.second_looks import sentences

router = APIRouter(prefix="/console", include_in_schema=False)

MAX_SHOWN = 100


@router.get("/look-again")
async def look_again(
    request: Request,
    services: ServicesDep,
    caller: ViewerDep,
    project: Annotated[int | None, Query(gt=0, lt=2**63)] = None,
    sent: Annotated[int | None, Query(ge=0, le=MAX_SENT)] = None,
) -> HTMLResponse:
    """Show the doubts about a project's labels, strongest first, and what readers answered."""
    with_names = sees_names(caller)

    def read() -> dict[str, Any]:
        number, projects = chosen_project(services, project)
        facts: dict[str, Any] = {"project": number, "projects": projects}
        if not number:
            return facts
        return facts | _doubts(request, services, number, with_names=with_names) | _search(services, number)

    facts = await anyio.to_thread.run_sync(read)
    return render(
        request,
        "look_again.html",
        section="look-again",
        sent_now=sent,
        default_sent=DEFAULT_SENT,
        max_sent=MAX_SENT,
        max_folds=MAX_FOLDS,
        label_studio=services.settings.label_studio_public_url or services.settings.label_studio_url,
        **facts,
    )


@router.post("/look-again/search")
async def start_search(request: Request, services: ServicesDep, _: LeadDep) -> Response:
    """Search a project's labels."""
    form = await read_form(request)
    number = _number(form, "project", most=2**63 - 1)
    folds = _number(form, "folds", most=MAX_FOLDS, least=0)
    order = partial(search, services, number, predictions=DEFAULT_PREDICTIONS, folds=folds)
    await anyio.to_thread.run_sync(order)
    return see_other(f"/console/look-again?project={number}")


@router.post("/look-again/cancel")
async def cancel(request: Request, services: ServicesDep, caller: LeadDep) -> Response:
    """Cancel the search of a project."""
    number = _number(await read_form(request), "project", most=2**63 - 1)
    await anyio.to_thread.run_sync(partial(cancel_search, services, number, actor=caller.name))
    return see_other(f"/console/look-again?project={number}")


@router.post("/look-again/send")
async def send(request: Request, services: ServicesDep, caller: LeadDep) -> Response:
    """Send the strongest doubts back to their readers."""
    form = await read_form(request)
    number, limit = _number(form, "project", most=2**63 - 1), _number(form, "limit", most=MAX_SENT)
    order = partial(send_back, services, number, limit=limit, actor=caller.name)
    outcome = await anyio.to_thread.run_sync(order)
    return see_other(f"/console/look-again?project={number}&sent={outcome.doubts}")


def _doubts(request: Request, services: Services, project: int, *, with_names: bool) -> dict[str, Any]:
    looks, secret = services.site.second_looks, services.settings.annotator_secret
    readers = request.app.state.readers.get(project).value

    def reader(user: int | None) -> str:
        pseudonym = annotator_pseudonym(user, secret=secret)
        return str(readers.label(pseudonym, with_names=with_names)) if readers else pseudonym

    counts = looks.records.counts(project)
    return {
        "open": looks.records.ranked(project, limit=MAX_SHOWN, is_open=True),
        "num_open": sum(count for (_, was_sent, _), count in counts.items() if not was_sent),
        "sent": looks.records.ranked(project, limit=MAX_SHOWN, is_open=False),
        "num_waiting": sum(n for (_, was_sent, answer), n in counts.items() if was_sent and not answer),
        "precision": looks.precision(project),
        "reader": reader,
    }


def _search(services: Services, project: int) -> dict[str, Any]:
    """Return the newest search, in sentences, the tasks that the serving model has learned from, and the job."""
    newest = services.site.second_looks.records.newest_search(project)
    try:
        job = services.queue.looking_again(project)
    except MammoError:  # the doubts are shown without it
        job = None
    return {
        "search": newest,
        "searched_at": datetime.fromisoformat(newest["at"]) if newest else None,
        "found": sentences(newest) if newest else [],
        "learned": set(newest["learned"]) if newest else set(),
        "job": job,
        "is_searching": job is not None and job.state in ACTIVE,
    }


def _number(form: dict[str, str], name: str, *, most: int, least: int = 1) -> int:
    value = form.get(name, "")
    if not re.fullmatch(r"[0-9]{1,19}", value, re.ASCII) or not least <= int(value) <= most:
        raise HTTPException(422, f"{name} must be a whole number from {least} to {most}")
    return int(value)
