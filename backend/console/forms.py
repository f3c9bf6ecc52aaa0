"""Forms of the console's pages: their fields, after the caller's token was checked."""

from __future__ import annotations

from urllib.parse import parse_qsl

from fastapi import HTTPException, Request

from backend.callers import has_token

CSRF_FIELD = "csrf"
MAX_FIELDS = 50


async def read_fields(request: Request) -> dict[str, str]:
    """Return the fields of an urlencoded form, without surrounding white space; of a repeated one the last.

    Raises:
        HTTPException: 422, the body is no such form.
    """
    body = await request.body()
    try:
        pairs = parse_qsl(
            body.decode("ascii"), keep_blank_values=True, max_num_fields=MAX_FIELDS, errors="replace"
        )
    except ValueError:
        raise HTTPException(422, "expected the fields of the page's form") from None
    return {name: value.strip() for name, value in pairs}


async def read_form(request: Request) -> dict[str, str]:
    """Return the fields of a form of the caller's.

    Raises:
        HTTPException: 403, its token is missing or another's; 422, the body is no form.
    """
    fields = await read_fields(request)
    if not has_token(request.scope["caller"], fields.pop(CSRF_FIELD, "")):
        raise HTTPException(403, "this form was made for another log-in; reload its page and send it again")
    return fields


def required_reason(form: dict[str, str]) -> str:
    """Return the reason that a form gives; raises HTTPException: 422, it gives none."""
    reason = form.get("reason", "")[:1000]
    if not reason:
        raise HTTPException(422, "give a reason: it is kept in the history")
    return reason
