"""The places where two model versions differ, with pictures, as one HTML file that needs no server."""

from __future__ import annotations

import base64
from pathlib import Path

from jinja2 import FileSystemLoader

from backend.shadow_pictures import MAX_PLACES, MAX_TASKS, ShownPlace, draw_places
from mammo.efforts.shadow_comparison import ShadowComparison
from mammo.site import Site
from mammo.verdicts import drawing
from mammo.verdicts.report import TEMPLATES as VERDICT_TEMPLATES
from mammo.verdicts.report import environment

TEMPLATES = Path(__file__).parent / "console" / "templates"


def write_shadow_report(comparison: ShadowComparison, *, site: Site) -> str:
    """Return the HTML of a comparison: the console's page without its tables.

    Raises:
        LabelStudioError: the project's labels cannot be fetched. An image that cannot be read is said to be so.
    """
    tasks = [each.task for each in comparison.differing[:MAX_TASKS]]
    first, second = comparison.versions
    places = draw_places(comparison.project, (first, second), tasks, site=site, images=site.images)
    template = environment().overlay(loader=FileSystemLoader([TEMPLATES, VERDICT_TEMPLATES]))
    settings = site.settings
    return template.get_template("shadow_report.html").render(
        project=comparison.project,
        first=first,
        second=second,
        agreement=comparison.agreement,
        shown=places,
        address=_embedded,
        drawing=drawing,
        label_studio=settings.label_studio_public_url or settings.label_studio_url,
        max_places=MAX_PLACES,
        max_tasks=MAX_TASKS,
    )


def _embedded(place: ShownPlace) -> str:
    return f"data:image/webp;base64,{base64.b64encode(place.content).decode('ascii')}"
