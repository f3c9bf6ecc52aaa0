"""`/console/pacs`: search the PACS, import what is found, and send results to it.

Patients are named on the answer to a search alone, which only administrators may send.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial
from typing import Annotated, Any, TypeVar

import anyio.to_thread
from fastapi import APIRouter, HTTPException, Query, Request
from pydantic import ValidationError
from starlette.responses import HTMLResponse, Response

from backend import requested_pacs
from backend.api.pacs import MAX_IMPORTED, Conditions, ImportNumber, SearchConditions, searched
from backend.console.forms import read_form
from backend.console.rendering import render, see_other
from backend.dependencies import ServicesDep
from backend.requested_pacs import progress_of, why_no_import
from backend.roles import AdministratorDep, LeadDep
from backend.services import Services
from mammo.errors import MammoError
from mammo.result_kinds import RESULT_KINDS, ResultKind

Kind = TypeVar("Kind", bound=Conditions)

router = APIRouter(prefix="/console/pacs", include_in_schema=False)

PAGE = 20
"""Studies on a page; each is a field of the form that imports them."""

MAX_IMPORTS, MAX_RESULTS = 20, 50

KINDS: dict[ResultKind, str] = {
    "sr": "measurement report (TID 1500)",
    "seg": "segmentation",
    "cad-sr": "Mammography CAD report (TID 4000)",
}

TEXTS = ("patient", "accession", "since", "until", "body_part", "view", "laterality")
CHOICES = ("for_processing", "priors")


@router.get("")
async def pacs(
    request: Request,
    services: ServicesDep,
    _: LeadDep,
    job: Annotated[str, Query(max_length=64, pattern=r"^([a-z]+-[0-9]+-[0-9a-f]{12})?$")] = "",
    due: Annotated[int | None, Query(ge=0, lt=2**31)] = None,
) -> HTMLResponse:
    """Show the forms, the imports, and the results that wait, were sent, or were refused."""
    facts = await anyio.to_thread.run_sync(partial(_facts, services, job))
    return render(request, "pacs.html", section="pacs", asked={}, due=due, kinds=KINDS, **facts)


@router.post("/search")
async def search(request: Request, services: ServicesDep, caller: AdministratorDep) -> HTMLResponse:
    """Show the studies that meet the conditions of a form."""
    form = await read_form(request)
    conditions = _conditions(form, SearchConditions, limit=PAGE)
    found = await searched(request, conditions, services, caller)
    asked = {name: form[name] for name in (*TEXTS, *CHOICES) if form.get(name)}
    return render(
        request,
        "pacs_search.html",
        section="pacs",
        asked=asked,
        studies=[each for each in found.studies if not each.is_prior],
        priors=[each for each in found.studies if each.is_prior],
        num_all=found.num_all,
        offset=conditions.offset,
        page=PAGE,
    )


@router.post("/imports")
async def start(request: Request, services: ServicesDep, caller: AdministratorDep) -> Response:
    """Import the chosen studies, or all that meet the conditions."""
    form = await read_form(request)
    project = _project(form)
    if form.get("what") == "all":
        conditions = _conditions(form, Conditions, limit=MAX_IMPORTED)
    else:
        studies = [value for name, value in form.items() if re.fullmatch(r"study-[0-9]{1,3}", name)]
        if not studies:
            raise HTTPException(422, "choose a study")
        conditions = _conditions(form, Conditions, studies=studies)
    order = partial(requested_pacs.start_import, services, project, conditions.order, actor=caller.name)
    await anyio.to_thread.run_sync(order)
    return see_other("/console/pacs#imports")


@router.post("/imports/{number}/continue")
async def go_on(
    request: Request, number: ImportNumber, services: ServicesDep, caller: AdministratorDep
) -> Response:
    """Continue an import."""
    await read_form(request)
    order = partial(requested_pacs.continue_import, services.site, number, actor=caller.name)
    await anyio.to_thread.run_sync(order)
    return see_other("/console/pacs#imports")


@router.post("/imports/{number}/stop")
async def stop(
    request: Request, number: ImportNumber, services: ServicesDep, caller: AdministratorDep
) -> Response:
    """Stop an import."""
    await read_form(request)
    order = partial(requested_pacs.stop_import, services.site, number, actor=caller.name)
    await anyio.to_thread.run_sync(order)
    return see_other("/console/pacs#imports")


@router.post("/results")
async def send(request: Request, services: ServicesDep, caller: AdministratorDep) -> Response:
    """Send the results of a project."""
    form = await read_form(request)
    project, kind = _project(form), form.get("format")
    if kind not in RESULT_KINDS:
        raise HTTPException(422, f"choose a format: {', '.join(RESULT_KINDS)}")
    order = partial(requested_pacs.send_results, services, project, kind, actor=caller.name)
    enqueued = await anyio.to_thread.run_sync(order)
    return see_other(f"/console/pacs?job={enqueued.job_id}#results")


@router.post("/results/retry")
async def retry(request: Request, services: ServicesDep, caller: AdministratorDep) -> Response:
    """Try again now what failed."""
    await read_form(request)
    due = await anyio.to_thread.run_sync(partial(requested_pacs.retry, services, actor=caller.name))
    return see_other(f"/console/pacs?due={due}#results")


def _facts(services: Services, job: str) -> dict[str, Any]:
    outbox, why_not = services.site.pacs_results.outbox, why_no_import(services)
    imports = services.site.pacs_imports.newest(limit=MAX_IMPORTS) if _has_secret(services) else []
    return {
        "why_not": why_not,
        "is_set": bool(services.settings.pacs_url),
        "imports": [progress_of(services, each) for each in imports],
        "counts": outbox.counts(),
        "results": outbox.newest(limit=MAX_RESULTS),
        "job": _job(services, job),
    }


def _has_secret(services: Services) -> bool:
    """Whether imports can be read: without the patient secret there is none."""
    return bool(services.settings.patient_secret.get_secret_value())


def _job(services: Services, job: str) -> Any:
    """Return the state of a job that sends results; None if none is asked for, or nobody knows."""
    if not job:
        return None
    try:
        return services.queue.status(job)
    except MammoError:
        return None


def _conditions(form: Mapping[str, str], kind: type[Kind], **more: Any) -> Kind:
    """Return the conditions of a form; raises HTTPException: 422, a field is not what it should be."""
    values = {name: form.get(name, "") for name in TEXTS}
    try:
        return kind.model_validate(
            {
                **{name: value for name, value in values.items() if value},
                **{name: name in form for name in CHOICES},
                "offset": form.get("offset") or 0,
                **more,
            }
        )
    except ValidationError as error:
        fields = ", ".join(sorted({str(each["loc"][0]) for each in error.errors()}))
        raise HTTPException(422, f"check these fields: {fields.replace('_', ' ')}") from None


def _project(form: Mapping[str, str]) -> int:
    """Return the project that a form names; raises HTTPException: 422, it names none."""
    value = form.get("project", "")
    if not re.fullmatch(r"[1-9][0-9]{0,17}", value, re.ASCII):
        raise HTTPException(422, "give the number of a project; it is in the address of the project's page")
    return int(value)
