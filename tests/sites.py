"""Sites for tests: real ones, some of whose parts are stand-ins."""

from __future__ import annotations

from typing import Any

from mammo.settings import Settings
from mammo.site import Site


def site_of(settings: Settings | None = None, *, creates: bool = False, **parts: Any) -> Site:
    """A site with these parts in place of those that the settings would give, for example `label_studio=fake`."""
    site = Site(settings=settings or Settings(), creates=creates)
    site.__dict__.update(parts)
    return site
