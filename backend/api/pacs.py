"""`/api/v1/pacs`: mammograms of the PACS, imports from it, and results for it."""

from __future__ import annotations

from datetime import date
from functools import partial
from typing import Annotated, Any, Literal

import anyio.to_thread
from fastapi import APIRouter, HTTPException, Path, Query, Request
from pydantic import BaseModel, ConfigDict, Field

from backend import requested_pacs
from backend.answers import Json
from backend.api.schemas import Number
from backend.dependencies import ServicesDep
from backend.requested_pacs import progress_of
from backend.roles import AdministratorDep, LeadDep
from mammo.pacs import Query as PacsQuery
from mammo.pacs.import_order import ImportOrder
from mammo.result_kinds import ResultKind

router = APIRouter(prefix="/api/v1", tags=["PACS"])

ImportNumber = Annotated[int, Path(gt=0, lt=2**63)]

MAX_IMPORTED = 10_000
"""Most studies of one import."""


class Conditions(BaseModel):
    """Conditions that a mammogram must all meet; an empty one is none."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"since": "2026-01-01", "until": "2026-01-31"}]}
    )

    studies: list[str] = Field(default_factory=list, max_length=1000)
    """Study Instance UIDs."""

    patient: str = Field("", max_length=64)
    """Whole PatientID."""

    accession: str = Field("", max_length=64)
    since: date | None = None
    until: date | None = None
    body_part: str = Field("", max_length=16)
    view: str = Field("", max_length=16)
    laterality: Literal["", "L", "R"] = ""
    for_processing: bool = False
    """Whether raw detector values count as images too; an import converts them."""

    priors: bool = False
    """Also the earlier mammograms of the same patients."""

    limit: int = Field(100, ge=1, le=MAX_IMPORTED)
    """Most studies, oldest first, without the priors."""

    offset: int = Field(0, ge=0, le=10**6)
    """Studies to leave out before them."""

    @property
    def query(self) -> PacsQuery:
        """Raises HTTPException: 422, no condition is given that narrows an archive, or one is malformed."""
        try:
            return PacsQuery(
                studies=tuple(self.studies),
                patient=self.patient,
                accession=self.accession,
                first_day=self.since.strftime("%Y%m%d") if self.since else "",
                last_day=self.until.strftime("%Y%m%d") if self.until else "",
                body_part=self.body_part,
                view=self.view,
                laterality=self.laterality,
                only_for_presentation=not self.for_processing,
            )
        except ValueError as error:
            raise HTTPException(422, str(error)) from None

    @property
    def order(self) -> ImportOrder:
        """Raises HTTPException as `query`; also if more studies are named than `limit`."""
        query = self.query
        try:
            return ImportOrder(query=query, priors=self.priors, limit=self.limit, offset=self.offset)
        except ValueError as error:
            raise HTTPException(422, str(error)) from None


class SearchConditions(Conditions):
    """Conditions of a search, which is answered at once."""

    limit: int = Field(20, ge=1, le=100)


class Results(BaseModel):
    """Which results of a project are sent."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"format": "sr"}]})

    format: ResultKind


async def searched(
    request: Request, conditions: SearchConditions, services: ServicesDep, caller: AdministratorDep
) -> requested_pacs.Found:
    """Search the PACS in a thread of the few that may."""
    ask = partial(
        requested_pacs.search,
        services,
        conditions.query,
        priors=conditions.priors,
        limit=conditions.limit,
        offset=conditions.offset,
        actor=caller.name,
    )
    return await anyio.to_thread.run_sync(ask, limiter=request.app.state.pacs_searches)


@router.post("/pacs/search")
async def search(
    request: Request, conditions: SearchConditions, services: ServicesDep, caller: AdministratorDep
) -> Json:
    """List the studies with mammograms that meet all conditions; the answer names patients, as the PACS does.

    `num_all` is the number of studies of all pages. A study none of whose mammograms meets the conditions counts there
    and is not listed, so a page may be shorter than `limit`, or empty, before the last one.

    It is a POST so that no address holds what names a patient. 409: no PACS is set; 502: it does not answer.
    """
    found = await searched(request, conditions, services, caller)
    return Json({"studies": [each.to_json() for each in found.studies], "num_all": found.num_all})


@router.post("/projects/{project}/pacs-imports", status_code=202)
async def start(
    project: Number, conditions: Conditions, services: ServicesDep, caller: AdministratorDep
) -> Json:
    """Import what meets all conditions, de-identified, in the background.

    404: there is no such project; 409: a setting is missing, or another import into the project is active.
    """
    order = partial(requested_pacs.start_import, services, project, conditions.order, actor=caller.name)
    return Json({"import": await anyio.to_thread.run_sync(order)}, 202)


@router.get("/pacs/imports")
async def imports(
    services: ServicesDep,
    _: LeadDep,
    project: Annotated[int | None, Query(gt=0, lt=2**63)] = None,
    limit: Annotated[int, Query(gt=0, le=1000)] = 50,
) -> Json:
    """List imports, newest first; nothing in them names a patient."""

    def read() -> list[dict[str, Any]]:
        found = services.site.pacs_imports.newest(project=project, limit=limit)
        return [progress_of(services, each).to_json() for each in found]

    return Json({"imports": await anyio.to_thread.run_sync(read)})


@router.get("/pacs/imports/{number}")
async def show(number: ImportNumber, services: ServicesDep, _: LeadDep) -> Json:
    """Show how far an import is, or how it ended. 404: there is none of this number."""

    def read() -> dict[str, Any]:
        return progress_of(services, services.site.pacs_imports.get(number)).to_json()

    return Json(await anyio.to_thread.run_sync(read))


@router.post("/pacs/imports/{number}/continue", status_code=202)
async def go_on(number: ImportNumber, services: ServicesDep, caller: AdministratorDep) -> Json:
    """Continue an import that failed or was interrupted; one that has finished takes what is new.

    It takes the same studies as before: at most its `limit`, oldest first. 409: it is active.
    """
    order = partial(requested_pacs.continue_import, services.site, number, actor=caller.name)
    await anyio.to_thread.run_sync(order)
    return Json({"import": number}, 202)


@router.post("/pacs/imports/{number}/stop")
async def stop(number: ImportNumber, services: ServicesDep, caller: AdministratorDep) -> Json:
    """Stop an import that waits or runs, within one image; it can be continued. 409: it has ended."""
    order = partial(requested_pacs.stop_import, services.site, number, actor=caller.name)
    await anyio.to_thread.run_sync(order)
    return Json({"import": number})


@router.post("/projects/{project}/pacs-results", status_code=202)
async def send(project: Number, results: Results, services: ServicesDep, caller: AdministratorDep) -> Json:
    """Send the results of a project's annotations to the PACS, in the background; what it has already is not sent.

    `created` is false if a job is active that does so. 404: there is no such project; 409: no PACS is set.
    """
    order = partial(requested_pacs.send_results, services, project, results.format, actor=caller.name)
    enqueued = await anyio.to_thread.run_sync(order)
    return Json({"job": enqueued.job_id, "created": enqueued.created}, 202)


@router.get("/pacs/results")
async def outbox(services: ServicesDep, _: LeadDep, limit: Annotated[int, Query(gt=0, le=1000)] = 50) -> Json:
    """List results, newest first: which the PACS has, which wait, and why; and their number by state."""
    results = services.site.pacs_results.outbox

    def read() -> dict[str, Any]:
        return {
            "counts": results.counts(),
            "results": [each.to_json() for each in results.newest(limit=limit)],
        }

    return Json(await anyio.to_thread.run_sync(read))


@router.post("/pacs/results/retry")
async def retry(services: ServicesDep, caller: AdministratorDep) -> Json:
    """Make due now what waits after a failed attempt; the backend sends it within half a minute."""
    request = partial(requested_pacs.retry, services, actor=caller.name)
    return Json({"due": await anyio.to_thread.run_sync(request)})
