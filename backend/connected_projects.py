"""ConnectedProjects: the projects of Label Studio that send us their annotations, also before the first one comes."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from backend.refreshed import Refreshed
from mammo.site import Site

EVERY = timedelta(minutes=1)
"""Age from which Label Studio is asked again when somebody looks."""


class ConnectedProjects:
    """Asks Label Studio in the background. Safe to share between threads."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._known: Refreshed[None, Sequence[int]] = Refreshed(lambda _: self._ask(), every=EVERY)

    def all(self, *, patience: float) -> Sequence[int]:
        """Return the connected projects, as of the last answer; none while Label Studio has not answered.

        Args:
            patience: seconds for which a first look waits.
        """
        return self._known.get(None, patience=patience).value or ()

    def close(self) -> None:
        """Ask no more."""
        self._known.close()

    def _ask(self) -> Sequence[int]:
        client, secret = self._site.label_studio, self._site.settings.webhook_secret.get_secret_value()
        return client.connected_projects(secret=secret) if client is not None else ()
