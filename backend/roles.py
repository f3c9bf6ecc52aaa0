"""FastAPI dependencies: the caller, who must have a role. They are async so that they need no free thread."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, cast

from fastapi import Depends, HTTPException, Request

from backend.callers import Caller
from mammo.access.roles import Role, includes

NAMES_FROM: Role = "administrator"
"""Role from which readers have names; below it they have pseudonyms."""


def _require(role: Role) -> Callable[[Request], Awaitable[Caller]]:
    async def caller(request: Request) -> Caller:
        found = cast(Caller, request.scope["caller"])
        if not includes(found.role, role):
            raise HTTPException(403, f"this needs the role {role}; {found.name} is {found.role}")
        return found

    return caller


VIEWER = Depends(_require("viewer"))
"""For routes that need the role only, not the caller."""

ViewerDep = Annotated[Caller, VIEWER]
LeadDep = Annotated[Caller, Depends(_require("lead"))]
AdministratorDep = Annotated[Caller, Depends(_require("administrator"))]


def sees_names(caller: Caller) -> bool:
    """Whether a caller sees the names of readers."""
    return includes(caller.role, NAMES_FROM)
