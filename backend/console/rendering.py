"""Renderer: templates to answers. Every value is escaped; a name that a template uses and nobody gave is an error."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any, cast

from fastapi import Request
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from starlette.responses import HTMLResponse, RedirectResponse

from backend.callers import Caller
from backend.console.assets import Assets
from backend.console.navigation import SECTIONS
from mammo.access.roles import includes
from mammo.identifiers import pseudonym
from mammo.verdicts.report import TEMPLATES as VERDICT_TEMPLATES

TEMPLATES = Path(__file__).parent / "templates"

PAGE_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    # With `no-referrer`, which all other answers have, browsers send `Origin: null` with a form.
    "Referrer-Policy": "same-origin",
}
"""Headers of every page, in place of those in `backend.middleware`."""


class Renderer:
    """Renders the templates of the console."""

    def __init__(self, assets: Assets) -> None:
        self.assets = assets
        self._templates = Environment(
            loader=FileSystemLoader([TEMPLATES, VERDICT_TEMPLATES]),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.globals.update(asset=assets.address, sections=SECTIONS, includes=includes)
        self._templates.filters.update(
            time=time_element,
            percent=percent,
            duration=duration,
            figure=figure,
            capitalize_first=capitalize_first,
            code=code,
            pseudonym=pseudonym,
        )

    def compile(self) -> None:
        """Compile every page now, so that its first reader does not wait for it."""
        for name in self._templates.list_templates(extensions=["html"]):
            self._templates.get_template(name)

    def text(self, template: str, **facts: Any) -> str:
        """Return a rendered template."""
        return self._templates.get_template(template).render(facts)


def render(
    request: Request, template: str, *, section: str = "", status: int = 200, **facts: Any
) -> HTMLResponse:
    """Return a page.

    Args:
        template: its name in `templates`.
        section: the `Section.name` that the navigation marks as current.
        facts: what the template shows.
    """
    renderer = cast(Renderer, request.app.state.renderer)
    caller = cast(Caller | None, request.scope.get("caller"))
    text = renderer.text(template, person=caller, csrf_field=csrf_field(caller), section=section, **facts)
    return HTMLResponse(text, status, headers=PAGE_HEADERS)


def csrf_field(caller: Caller | None) -> Markup:
    """Return the hidden field that every form has."""
    return Markup('<input type="hidden" name="csrf" value="{}">').format(caller.csrf if caller else "")


def see_other(path: str) -> RedirectResponse:
    """Return the answer to a form: the browser gets `path`, and a reload sends nothing again."""
    return RedirectResponse(path, 303)


def time_element(moment: datetime | None) -> str:
    """Return a time in UTC, to the minute, as a `time` element; a dash for None."""
    if moment is None:
        return "-"
    exact = moment.isoformat(timespec="seconds")
    return Markup('<time datetime="{}">{}</time>').format(exact, f"{moment:%Y-%m-%d %H:%M}")


def percent(share: float | None) -> str:
    """Return a share in [0, 1] as a whole percentage; a dash for None."""
    return "-" if share is None else f"{share:.0%}"


def figure(value: float | None) -> str:
    """Return a figure with three decimals; a dash for None."""
    return "-" if value is None else f"{value:.3f}"


def capitalize_first(text: str) -> str:
    """Return a sentence with a capital at its beginning, and the rest as it is."""
    return text[:1].upper() + text[1:]


def duration(seconds: float | None) -> str:
    """Return a duration in words a person reads at a glance; a dash for None."""
    if seconds is None:
        return "-"
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes:02d} min"
    return f"{hours // 24} d {hours % 24} h"


def code(text: str) -> str:
    """Return a sentence with what stands between backticks as `code` elements."""
    span = Markup("<code>{}</code>")
    parts = text.split("`")
    return Markup("").join(span.format(part) if number % 2 else part for number, part in enumerate(parts))
