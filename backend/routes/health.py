"""`/` and `/health`: answered from memory, open to everyone; Label Studio gives it one second, three times."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from backend.dependencies import ServicesDep

router = APIRouter()


@router.api_route("/", methods=["GET", "HEAD"])
@router.api_route("/health", methods=["GET", "HEAD"])
async def health(services: ServicesDep) -> dict[str, Any]:
    """UP means that this server answers; `model_version` is null until a model is loaded."""
    status = services.host.status()
    return {
        "status": "UP",
        "model_class": "Yolo-MLSAM",
        "model_version": status.serving,
        "champion": status.champion,
        "problem": status.problem,
    }
