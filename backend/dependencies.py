"""How a route gets at the services. Async, though nothing waits: a plain function would need a free thread."""

from __future__ import annotations

from typing import Annotated, cast

from fastapi import Depends, Request

from backend.services import Services


async def _services(request: Request) -> Services:
    return cast(Services, request.app.state.services)


ServicesDep = Annotated[Services, Depends(_services)]
