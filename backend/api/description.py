"""The API's description: OpenAPI at `/api/v1/openapi.json`, and as a page at `/docs`, without foreign scripts."""

from __future__ import annotations

from functools import cache
from typing import Any

from fastapi import APIRouter, FastAPI, Request
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute
from starlette.responses import HTMLResponse

from backend.answers import Json
from backend.console.rendering import render
from backend.roles import ViewerDep

router = APIRouter(include_in_schema=False)

METHODS = ("get", "post", "patch", "put", "delete")


@router.get("/api/v1/openapi.json")
async def openapi(request: Request, _: ViewerDep) -> Json:
    """Return the API's description."""
    return Json(description(request.app))


@router.get("/docs")
async def reference(request: Request, _: ViewerDep) -> HTMLResponse:
    """Show the API's description."""
    paths = description(request.app)["paths"]
    operations = [
        {"method": method.upper(), "path": path, **operation}
        for path, item in paths.items()
        for method, operation in item.items()
        if method in METHODS
    ]
    return render(request, "reference.html", section="docs", operations=operations)


@cache
def description(app: FastAPI) -> dict[str, Any]:
    """Return the OpenAPI description of the routes under `/api/v1`."""
    from backend import api

    routes = [route for each in api.ROUTERS for route in each.routes if isinstance(route, APIRoute)]
    described = get_openapi(title="Yolo-MLSAM", version="1", routes=routes)
    error = {
        "type": "object",
        "properties": {"error": {"type": "string"}, "message": {"type": "string"}},
        "required": ["error", "message"],
    }
    described.setdefault("components", {}).setdefault("schemas", {})["Error"] = error
    refusal = {"$ref": "#/components/schemas/Error"}
    for item in described["paths"].values():
        for operation in item.values():
            operation["responses"].pop("422", None)
            operation["responses"]["default"] = {
                "description": "a code, and a sentence that says what to do",
                "content": {"application/json": {"schema": refusal}},
            }
    described["components"]["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
    described["security"] = [{"key": []}]
    return described
