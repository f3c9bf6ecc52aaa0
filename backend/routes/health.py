"""`/` and `/health`: answered from memory, without authentication. Label Studio asks three times, one second each."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.background import BackgroundTask

from backend.answers import Json
from backend.dependencies import ServicesDep

router = APIRouter()


@router.head("/", include_in_schema=False)
@router.head("/health", include_in_schema=False)
@router.get("/")
@router.get("/health")
async def health(services: ServicesDep) -> Json:
    """UP means that this server responds; `model_version` is null until a model is loaded.

    `problem` is the error code of the storage (corrections are then answered with 503), else of loading the model. A
    storage problem is checked again after the response, so that the next request learns when it is over.
    """
    status, storage = services.host.status(), services.store.problem
    answer = {
        "status": "UP",
        "model_class": "Yolo-MLSAM",
        "model_version": status.serving,
        "champion": status.champion,
        "problem": storage or status.problem,
    }
    return Json(answer, background=BackgroundTask(services.store.retry) if storage else None)
