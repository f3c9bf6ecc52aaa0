"""The parts of Label Studio's requests that the backend uses. Unknown fields are ignored."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Annotated, Any

import orjson
from fastapi import HTTPException
from pydantic import BaseModel, ConfigDict, Field, ValidationError

MAX_TASKS = 10_000


class Wire(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


Id = Annotated[int, Field(ge=-(2**63), lt=2**63)]
"""An id that fits a 64-bit database column."""


class Task(Wire):
    id: Id | None = None
    data: dict[str, Any]
    project: Id | None = None

    drafts: Any = None
    annotations: Any = None
    predictions: Any = None
    """What has been drawn, on a click only. It is read where it is used, region by region."""


DRAWN = ("drafts", "annotations", "predictions")
"""Fields of a task with what has been drawn on it."""


class Context(Wire):
    result: list[dict[str, Any]] = []


class Params(Wire):
    context: Context | None = None


class PredictRequest(Wire):
    """Body of `POST /predict`. With `params.context` it is a click of a smart tool on one task."""

    tasks: list[Task] = Field(max_length=MAX_TASKS)
    project: str | int | None = None
    """`<id>.<creation time>`, as Label Studio sends it."""

    label_config: str | None = None
    params: Params | None = None
    direct: Context | None = Field(None, alias="context")
    """The context of programs that send it outside `params`."""

    @property
    def project_id(self) -> int | None:
        """The project's id; None if the body has none."""
        return project_number(self.project)

    @property
    def context(self) -> Context | None:
        """Regions of a smart tool; None if tasks are to be prelabelled."""
        nested = self.params.context if self.params else None
        return nested or self.direct

    @classmethod
    def read(cls, body: bytes) -> PredictRequest:
        """Parse a body. Drafts, annotations and predictions, which may be megabytes, are dropped unless it is a click.

        Raises:
            HTTPException: 400: not JSON; 422: not a predict request.
        """
        content = read_json(body)
        try:
            request = cls.model_validate(content)
            if request.context is not None:
                return request
            bare = [task.model_copy(update=dict.fromkeys(DRAWN)) for task in request.tasks]
            return request.model_copy(update={"tasks": bare})
        except ValidationError as error:
            places = sorted(
                {".".join(str(part) for part in problem["loc"][:3]) for problem in error.errors()}
            )
            raise HTTPException(
                422, f"not a predict request; invalid or missing: {', '.join(places[:5])}"
            ) from None


def json_body(schema: dict[str, Any]) -> dict[str, Any]:
    """Return the OpenAPI description of a body that a route parses itself, because it may be megabytes."""
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": _inlined(schema)}}}}


def _inlined(schema: dict[str, Any]) -> dict[str, Any]:
    """Return a JSON schema without `$defs`, which OpenAPI does not allow here."""
    definitions = schema.get("$defs", {})

    def resolve(node: Any) -> Any:
        if isinstance(node, list):
            return [resolve(each) for each in node]
        if not isinstance(node, dict):
            return node
        if "$ref" in node:
            return resolve(definitions[node["$ref"].rsplit("/", 1)[-1]])
        return {key: resolve(value) for key, value in node.items() if key != "$defs"}

    resolved: dict[str, Any] = resolve(schema)
    return resolved


def project_number(project: object) -> int | None:
    """Return the id in `<id>.<creation time>`; None if there is none."""
    match = re.match(r"\d{1,15}", str(project or ""))
    return int(match.group()) if match else None


def read_json(body: bytes, *, loads: Callable[[bytes], Any] = orjson.loads) -> dict[str, Any]:
    """Parse a JSON object.

    Args:
        loads: parses JSON; raises ValueError.

    Raises:
        HTTPException: 400: not a JSON object.
    """
    try:
        content = loads(body)
    except ValueError:
        raise HTTPException(400, "the body is not JSON") from None
    if not isinstance(content, dict):
        raise HTTPException(400, "the body must be a JSON object")
    return content
