"""The site that jobs of this process work with.

`python -m worker` says which before it forks; a job then builds its own connections in its own process, because neither
database connections nor threads survive a fork.
"""

from __future__ import annotations

from collections.abc import Callable

from mammo.errors import InvalidSettings
from mammo.site import Site

_build: Callable[[], Site] | None = None


def install(build: Callable[[], Site]) -> None:
    """Set how jobs of this process, and of those that it forks, get their site."""
    global _build  # noqa: PLW0603 - RQ calls jobs by name and hands them their payload only
    _build = build


def open_site() -> Site:
    """A fresh site for one job, which closes it."""
    if _build is None:
        raise InvalidSettings("this worker was not started by `python -m worker`: its jobs have no settings")
    return _build()
