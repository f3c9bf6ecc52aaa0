"""`models mirror`: bring MLflow up to date with the registry."""

from __future__ import annotations

from rich.console import Console

from mammo.errors import InvalidSettings
from mammo.models.mlflow_mirror import SECONDS_BY_HAND, mirror
from mammo.site import Site


def mirror_all() -> None:
    """Mirror every model version. A failure is an error here, and only a warning after a run."""
    site = Site.load()
    settings = site.settings
    if not settings.mlflow_uri.get_secret_value():
        raise InvalidSettings("YOLO_MLSAM_MLFLOW_URI is not set; set it to the address of the MLflow server")
    result = mirror(site.registry, settings, seconds=SECONDS_BY_HAND)
    Console(soft_wrap=True, highlight=False).print(
        f"MLflow, experiment {settings.mlflow_experiment}: {result.created} versions created, "
        f"{result.changed} updated, {result.unchanged} unchanged"
    )
