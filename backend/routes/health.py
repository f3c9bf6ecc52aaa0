"""`/` and `/health`: answered from memory, open to everyone; Label Studio gives it one second, three times."""

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
    """UP means that this server answers; `model_version` is null until a model is loaded.

    `problem`: code of what is wrong with the storage (corrections are answered 503), else with loading the model. When
    the storage is at fault it is tried again after the answer, so that whoever asks again learns when it is over.
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
