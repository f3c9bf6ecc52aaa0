"""`models mirror`: bring MLflow up to date with the registry, and say how it went."""

from __future__ import annotations

from rich.console import Console

from mammo.errors import InvalidSettings
from mammo.models.mlflow_mirror import SECONDS_BY_HAND, mirror
from mammo.site import Site


def mirror_all() -> None:
    """Mirror every version; unlike after a run, a failure is an error here."""
    site = Site.load()
    settings = site.settings
    if not settings.mlflow_uri.get_secret_value():
        raise InvalidSettings("YOLO_MLSAM_MLFLOW_URI is not set; it names the MLflow server to mirror to")
    done = mirror(site.registry, settings, seconds=SECONDS_BY_HAND)
    Console(soft_wrap=True, highlight=False).print(
        f"MLflow, experiment {settings.mlflow_experiment}: {done.created} versions new, "
        f"{done.changed} brought up to date, {done.unchanged} as they were"
    )
