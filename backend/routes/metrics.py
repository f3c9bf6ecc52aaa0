"""`/metrics`: metrics for Prometheus."""

from __future__ import annotations

from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST

from backend.dependencies import ServicesDep
from mammo.errors import StorageUnavailable

router = APIRouter()


@router.get("/metrics")
def metrics(services: ServicesDep) -> Response:  # in a thread: it asks Redis, which may be away
    try:
        services.metrics.record_queue(services.queue.condition())
    except StorageUnavailable:
        services.metrics.record_queue(None)
    text = services.metrics.text(serving=services.host.status().serving)
    return Response(text, media_type=CONTENT_TYPE_LATEST)
