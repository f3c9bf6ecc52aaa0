"""`/console/look-again`: labels that are probably wrong, and the forms that search for them and send them back."""

from __future__ import annotations

import re
from functools import partial
from typing import Annotated, Any

import anyio.to_thread
from fastapi import APIRouter, HTTPException, Query, Request
from starlette.responses import HTMLResponse, Response

from backend.console.chosen_project import chosen_project
from backend.console.forms import read_form
from backend.console.rendering import render, see_other
from backend.dependencies import ServicesDep
from backend.requested_looks import DEFAULT_PREDICTIONS, DEFAULT_SENT, MAX_SENT, search, send_back
from backend.roles import LeadDep, ViewerDep, sees_names
from backend.services import Services
from mammo.efforts.effort_records import annotator_pseudonym
from mammo.errors import MammoError

router = APIRouter(prefix="/console", include_in_schema=False)

MAX_SHOWN = 100


@router.get("/look-again")
async def look_again(
    request: Request,
    services: ServicesDep,
    caller: ViewerDep,
    project: Annotated[int | None, Query(gt=0, lt=2**63)] = None,
    job: Annotated[str, Query(max_length=64, pattern=r"^([a-z]+-[0-9]+-[0-9a-f]{12})?$")] = "",
    sent: Annotated[int | None, Query(ge=0, le=MAX_SENT)] = None,
) -> HTMLResponse:
    """Show the doubts about a project's labels, strongest first, and what readers answered."""
    with_names = sees_names(caller)

    def read() -> dict[str, Any]:
        number, projects = chosen_project(services, project)
        facts = {"project": number, "projects": projects, "job": _job(services, job)}
        return facts | (_doubts(request, services, number, with_names=with_names) if number else {})

    facts = await anyio.to_thread.run_sync(read)
    return render(
        request,
        "look_again.html",
        section="look-again",
        sent_now=sent,
        default_sent=DEFAULT_SENT,
        max_sent=MAX_SENT,
        label_studio=services.settings.label_studio_public_url or services.settings.label_studio_url,
        **facts,
    )


@router.post("/look-again/search")
async def start_search(request: Request, services: ServicesDep, _: LeadDep) -> Response:
    """Search a project's labels."""
    number = _number(await read_form(request), "project", most=2**63 - 1)
    order = partial(search, services, number, predictions=DEFAULT_PREDICTIONS)
    enqueued = await anyio.to_thread.run_sync(order)
    return see_other(f"/console/look-again?project={number}&job={enqueued.job_id}")


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


def _job(services: Services, job: str) -> Any:
    """Return the state of a search; None if none is asked for, or nobody knows."""
    if not job:
        return None
    try:
        return services.queue.status(job)
    except MammoError:
        return None


def _number(form: dict[str, str], name: str, *, most: int) -> int:
    value = form.get(name, "")
    if not re.fullmatch(r"[1-9][0-9]{0,18}", value, re.ASCII) or int(value) > most:
        raise HTTPException(422, f"{name} must be a whole number from 1 to {most}")
    return int(value)
