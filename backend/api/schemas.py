"""Parts of requests to the API."""

from __future__ import annotations

from typing import Annotated

from fastapi import Path, Query
from pydantic import BaseModel, ConfigDict, Field

from mammo.training_settings import RequestedRecipe

Number = Annotated[int, Path(gt=0, lt=2**63)]
VERSION = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"

Version = Annotated[str, Path(max_length=64, pattern=VERSION)]
"""Name of a model version, or `champion`, `challenger` or `previous`."""

VersionQuery = Annotated[str, Query(max_length=64, pattern=VERSION)]


class Why(BaseModel):
    """A reason, for the audit trail."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"reason": "reviewed by hand"}]}
    )

    reason: str = Field("", max_length=1000)


class Reason(Why):
    """A reason that must be given."""

    reason: str = Field(min_length=1, max_length=1000, pattern=r"\S")


class RunOrder(Why):
    """What a new run does, and why."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"reason": "40 new cases", "recipe": "finetune"}]}
    )

    recipe: RequestedRecipe | None = None
    """The settings' recipe if it is null; `provisional` makes a provisional model."""
