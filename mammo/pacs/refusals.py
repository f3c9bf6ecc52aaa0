"""Refusals: what an HTTP status of the PACS means, and how long to wait before asking again."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from mammo.errors import PacsError

ADVICE = {
    400: "it does not accept the query; it may not know one of the attributes",
    401: "it does not accept what it was shown; check YOLO_MLSAM_PACS_USER and _PASSWORD, or YOLO_MLSAM_PACS_TOKEN",
    403: "this user may not do that; ask the administrator of the PACS",
    404: "it has no such object, or YOLO_MLSAM_PACS_URL is not its DICOMweb address",
    406: "it cannot send the image as it is stored",
    409: "it could not store what it was sent",
    413: "what it was sent is larger than it accepts",
    429: "it has too many requests; lower YOLO_MLSAM_PACS_CONNECTIONS, or try again later",
    503: "it is busy or down; try again later",
}

CODES = {
    401: "pacs_unauthorized",
    403: "pacs_forbidden",
    404: "pacs_not_found",
    429: "pacs_busy",
    503: "pacs_busy",
}


def refusal(host: str, status: int, *, wait: float | None = None) -> PacsError:
    """Return the error of an answer that is not 2xx.

    Args:
        wait: seconds after which a busy PACS wants to be asked again; None: it is not busy.
    """
    if 300 <= status < 400:
        return PacsError(
            f"the PACS at {host} answered with a redirect ({status}), which is not followed: set YOLO_MLSAM_PACS_URL "
            "to its final address",
            code="pacs_redirect",
        )
    advice = ADVICE.get(status) or (
        "an error of the PACS; see its log" if status >= 500 else "it refuses the request"
    )
    again = f" (in {wait:.0f} s)" if wait else ""
    return PacsError(
        f"the PACS at {host} answered {status}: {advice}{again}",
        code=CODES.get(status, f"pacs_http_{status}"),
    )


def retry_after(value: str | None, *, attempt: int, now: datetime | None = None) -> float:
    """Return the seconds to wait before a request is repeated.

    Args:
        value: of the header Retry-After, seconds or a date; None or nonsense: 1, 2, 4, ... s.
        attempt: number of the attempt that failed, from 1.
        now: time at which the answer came; None: now.
    """
    default = float(2 ** (attempt - 1))
    if not value:
        return default
    if value.strip().isascii() and value.strip().isdigit():
        return float(value.strip()[:9])
    try:
        then = parsedate_to_datetime(value)
    except ValueError:
        return default
    then = then if then.tzinfo else then.replace(tzinfo=UTC)
    return max((then - (now or datetime.now(UTC))).total_seconds(), 0.0)
