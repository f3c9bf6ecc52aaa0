"""Exception handlers of the application: errors as JSON, and for people at the console as pages."""

from __future__ import annotations

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from backend.console.error_pages import error_page, wants_page
from backend.error_table import answer, status_of
from mammo import errors


def install(app: FastAPI) -> None:
    """Register exception handlers that use `error_table`."""

    @app.exception_handler(errors.MammoError)
    def mammo_error(request: Request, error: errors.MammoError) -> Response:
        status = status_of(error)
        if wants_page(request):
            return error_page(request, str(error), status=status)
        return answer(error.code, str(error), status=status)

    @app.exception_handler(HTTPException)
    def http_error(request: Request, error: HTTPException) -> Response:
        if wants_page(request):
            return error_page(request, str(error.detail), status=error.status_code)
        headers = dict(error.headers) if error.headers else None
        return answer(
            f"http_{error.status_code}", str(error.detail), status=error.status_code, headers=headers
        )

    @app.exception_handler(RequestValidationError)
    def invalid_request(request: Request, error: RequestValidationError) -> Response:
        places = sorted({".".join(str(part) for part in problem["loc"]) for problem in error.errors()})
        message = f"invalid or missing: {', '.join(places)}"
        if wants_page(request):
            return error_page(request, message, status=422)
        return answer("invalid_request", message, status=422)
