"""`/metrics`: Prometheus."""

from __future__ import annotations

from fastapi import APIRouter, Depends, Response
from prometheus_client import CONTENT_TYPE_LATEST

from backend.auth import require_basic
from backend.dependencies import ServicesDep

router = APIRouter(dependencies=[Depends(require_basic)])


@router.get("/metrics")
async def metrics(services: ServicesDep) -> Response:
    text = services.metrics.text(serving=services.host.status().serving)
    return Response(text, media_type=CONTENT_TYPE_LATEST)
