"""`/console/audit`: who did what, when and why; and the same as CSV or JSON lines."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from functools import partial
from typing import Annotated

import anyio.to_thread
from fastapi import APIRouter, Query, Request
from starlette.responses import HTMLResponse, StreamingResponse

from backend.console.rendering import render
from backend.dependencies import ServicesDep
from backend.roles import AdministratorDep
from mammo.audit import AuditTrail
from mammo.audit.export import FIELDS, csv_row
from mammo.lenient_json import dumps

router = APIRouter(prefix="/console", include_in_schema=False)

PAGE = 100


@router.get("/audit")
async def audit(
    request: Request,
    services: ServicesDep,
    _: AdministratorDep,
    before: Annotated[int | None, Query(gt=0, lt=2**63)] = None,
) -> HTMLResponse:
    """List entries, newest first."""
    read = partial(services.site.access.trail.newest, before=before, limit=PAGE + 1)
    entries = await anyio.to_thread.run_sync(read)
    older = entries[PAGE - 1].number if len(entries) > PAGE else None
    return render(request, "audit.html", section="audit", entries=entries[:PAGE], older=older, before=before)


@router.get("/audit.csv")
async def as_csv(services: ServicesDep, _: AdministratorDep) -> StreamingResponse:
    """Return all entries, oldest first, for a spreadsheet."""
    return _file(_csv(services.site.access.trail), "text/csv; charset=utf-8", "audit.csv")


@router.get("/audit.jsonl")
async def as_json(services: ServicesDep, _: AdministratorDep) -> StreamingResponse:
    """Return all entries, oldest first, a JSON object a line."""
    lines = (dumps(entry.to_json()) + b"\n" for entry in services.site.access.trail.entries())
    return _file(lines, "application/jsonl", "audit.jsonl")


def _csv(trail: AuditTrail) -> Iterator[bytes]:
    yield _line(list(FIELDS))
    for entry in trail.entries():
        yield _line(csv_row(entry))


def _line(values: list[str]) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerow(values)
    return text.getvalue().encode()


def _file(lines: Iterator[bytes], media_type: str, name: str) -> StreamingResponse:
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return StreamingResponse(lines, media_type=media_type, headers=headers)
