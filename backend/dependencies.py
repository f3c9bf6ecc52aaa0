"""FastAPI dependency for the services. It is async so that it needs no free thread."""

from __future__ import annotations

from typing import Annotated, cast

from fastapi import Depends, Request

from backend.services import Services


async def _services(request: Request) -> Services:
    return cast(Services, request.app.state.services)


ServicesDep = Annotated[Services, Depends(_services)]
