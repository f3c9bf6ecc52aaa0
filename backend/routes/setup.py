"""`/setup` and `/versions`: the serving model version. Label Studio asks often, so they only read memory."""

from __future__ import annotations

from typing import Any

import orjson
from fastapi import APIRouter, Request

from backend.dependencies import ServicesDep
from backend.schemas import json_body, project_number
from mammo.errors import ModelNotFound

SETUP = {
    "type": "object",
    "properties": {"project": {"type": "string"}, "extra_params": {"type": "object"}},
}

router = APIRouter()


@router.post("/setup", openapi_extra=json_body(SETUP))
async def setup(request: Request, services: ServicesDep) -> dict[str, str]:
    """Return the version string of `/predict`; a different one would make Label Studio ask for predictions forever.

    Of the body, only the project's id and the `model_version` of the connection's extra parameters are used. A
    connection that asks for another version than the one that serves its project is refused.

    Raises:
        ModelNotFound: no model is loaded, or another one was asked for (code `other_model`).
    """
    try:
        body = orjson.loads(await request.body())
    except orjson.JSONDecodeError:
        body = {}
    body = body if isinstance(body, dict) else {}
    version = services.host.current(project_number(body.get("project"))).version
    requested = _requested_version(body.get("extra_params"))
    if requested is not None and requested != version:
        raise ModelNotFound(
            "the connection's extra_params ask for a model version that does not serve this project; pin it at the "
            "console or with `yolo-mlsam models pin`, or remove it from extra_params",
            code="other_model",
        )
    return {"model_version": version}


def _requested_version(extra: Any) -> str | None:
    version = extra.get("model_version") if isinstance(extra, dict) else None
    return version if isinstance(version, str) and version else None


@router.get("/versions")
async def versions(services: ServicesDep) -> dict[str, list[str]]:
    status = services.host.status()
    return {"versions": sorted({*status.pinned, *([status.serving] if status.serving else [])})}
