"""The site that the jobs of this process work with.

`python -m worker` installs a factory before it forks. Each job builds its connections in its own process, because
neither database connections nor threads survive a fork.
"""

from __future__ import annotations

from collections.abc import Callable

from mammo.errors import InvalidSettings
from mammo.site import Site

_build: Callable[[], Site] | None = None


def install(build: Callable[[], Site]) -> None:
    """Set the factory of the site for jobs of this process and of its forks."""
    global _build  # noqa: PLW0603 - RQ calls jobs by name and passes their payload only
    _build = build


def open_site() -> Site:
    """Return a new site for one job, which must close it.

    Raises:
        InvalidSettings: `install` has not been called.
    """
    if _build is None:
        raise InvalidSettings(
            "this worker has no settings for its jobs; start it with `python -m worker` or `yolo-mlsam work`"
        )
    return _build()
