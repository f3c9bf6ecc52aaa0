"""`/` and `/health`: answered from memory, without authentication. Label Studio asks three times, one second each.

A browser that asks for `/` is sent to the console.
"""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.background import BackgroundTask
from starlette.responses import RedirectResponse

from backend.answers import Json
from backend.dependencies import ServicesDep

router = APIRouter()


@router.head("/", include_in_schema=False, response_model=None)
@router.get("/", response_model=None)
async def root(request: Request, services: ServicesDep) -> Json | RedirectResponse:
    """The answer of `/health`; a browser is sent to the console."""
    if "text/html" in request.headers.get("Accept", ""):
        return RedirectResponse("/console", 303, headers={"Vary": "Accept"})
    return await health(services)


@router.head("/health", include_in_schema=False)
@router.get("/health")
async def health(services: ServicesDep) -> Json:
    """UP means that this server responds; `model_version` is null until a model is loaded, which `runtimes` compute.

    `problem` is the error code of the storage (corrections are then answered with 503), else of loading the model. A
    storage problem is checked again after the response, so that the next request learns when it is over.
    """
    status, storage = services.host.status(), services.store.problem
    answer = {
        "status": "UP",
        "model_class": "Yolo-MLSAM",
        "model_version": status.serving,
        "champion": status.champion,
        "runtimes": dict(status.runtimes),
        "problem": storage or status.problem,
    }
    return Json(answer, background=BackgroundTask(services.store.retry) if storage else None)
