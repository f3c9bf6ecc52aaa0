"""Logs: one JSON object per line on stderr, with ids and key=value facts, and never a patient tag."""

from __future__ import annotations

import logging
import sys
import traceback

import structlog

QUIET = ("httpx", "httpcore", "uvicorn.access")
"""Loggers limited to warnings: httpx logs whole URLs, and presigned URLs are secret."""

ERRORS_ONLY = "uvicorn.connections"
"""Logger of single connections, limited to errors: any client can cause its warnings, without end."""


def configure(level: str) -> None:
    """Send structlog and the standard library's logging through one JSON renderer.

    Args:
        level: DEBUG, INFO, WARNING or ERROR.

    Raises:
        ValueError: another level.
    """
    root = logging.getLogger()
    root.setLevel(level.upper())
    shared: list[structlog.types.Processor] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.make_filtering_bound_logger(root.level),  # suppressed lines cost nothing
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                structlog.processors.JSONRenderer(),
            ],
        )
    )
    root.handlers = [handler]
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.getLogger(ERRORS_ONLY).setLevel(logging.ERROR)
    for name in ("uvicorn", "uvicorn.error"):
        logging.getLogger(name).handlers.clear()


def where(error: BaseException) -> str:
    """Return the last frames of an error as `file:line function`, without its message, which may quote patient data."""
    frames = traceback.extract_tb(error.__traceback__)[-6:]
    return " < ".join(
        f"{frame.filename.rsplit('/', 1)[-1]}:{frame.lineno} {frame.name}" for frame in reversed(frames)
    )
