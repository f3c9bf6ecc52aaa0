"""The backend as an ASGI application: Label Studio's ML backend protocol and its webhooks."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Protocol

import anyio.to_thread
from anyio import CapacityLimiter
from fastapi import FastAPI
from starlette.routing import Route

from backend import api
from backend.auth import SecretRequired, is_exempt_from_guess_limit
from backend.backlog import Backlog
from backend.batch import Workplace
from backend.callers import Identify
from backend.console.assets import Assets
from backend.console.rendering import Renderer
from backend.console.routes import ROUTERS
from backend.console.routes.login import LoginLimits
from backend.cross_site import OwnPagesOnly
from backend.error_handlers import install as install_handlers
from backend.image_fetcher import ImageFetcher
from backend.middleware import BodyLimit, Guard
from backend.model_evidence import ModelEvidence
from backend.prefetch import Prefetch
from backend.problems import Problems
from backend.project_overview import ProjectOverviews
from backend.rate_limit import RateLimit
from backend.recent_images import RecentImages
from backend.refreshed import Refreshed
from backend.requested_pacs import MAX_SEARCHES
from backend.routes import health, metrics, predict, provenance, readings, runs, setup, stages, webhook
from backend.services import Services
from backend.shadow import Shadow
from backend.shadow_pictures import ShadowPictures
from backend.suggestions import Suggestions
from mammo.readers import ProjectReaders, names_by_pseudonym
from mammo.site import Site
from mammo.stages import StageReport

MAX_CLICKS = 2
MAX_TASKS = 1
"""Places of the networks, for clicks and tasks. One mammogram keeps all cores busy; more only cost memory."""

MAX_EVENTS = 8
"""Threads that store events. Their own limit: a database that cannot be written to must not block all other routes."""


class _Background(Protocol):
    """A thread that works while the backend runs."""

    def start(self) -> None: ...

    def stop(self) -> None: ...


def create_app(services: Services) -> FastAPI:
    """Build the application. Its lifespan starts the background threads, and closes the site at the end."""
    backlog, shadow = Backlog(), Shadow(services, services.shadow)
    overviews, problems = ProjectOverviews(services.site), Problems(services.site)
    evidence, shadow_pictures = ModelEvidence(services.site), ShadowPictures(services)
    stage_reports: Refreshed[int, StageReport] = Refreshed(partial(_stage_report, services))
    reader_figures: Refreshed[int, ProjectReaders] = Refreshed(services.site.readers)
    reader_names: Refreshed[None, Mapping[str, str]] = Refreshed(partial(_reader_names, services))
    computed = (overviews, evidence, shadow_pictures, stage_reports, problems, reader_figures, reader_names)
    threads = [*_threads(services), backlog, shadow.backlog]

    @asynccontextmanager
    async def lifespan(started: FastAPI) -> AsyncIterator[None]:
        started.state.renderer.compile()
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            for each in computed:
                each.close()
            await anyio.to_thread.run_sync(_close, threads, services.site)

    app = FastAPI(title="Yolo-MLSAM", lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None)
    app.state.services = services
    app.state.recent_images = RecentImages(services.images)
    app.state.suggestions = Suggestions(services)
    app.state.backlog = backlog
    app.state.shadow = shadow
    app.state.prefetch = Prefetch(services, backlog=backlog, images=app.state.recent_images)
    app.state.workplace = Workplace(
        fetcher=ImageFetcher(services.images, purpose="task", metrics=services.metrics),
        places=CapacityLimiter(MAX_TASKS),
        backlog=backlog,
        metrics=services.metrics,
    )
    app.state.click_images = ImageFetcher(app.state.recent_images, purpose="click", metrics=services.metrics)
    app.state.click_limiter = CapacityLimiter(MAX_CLICKS)
    app.state.event_limiter = CapacityLimiter(MAX_EVENTS)
    app.state.pacs_searches = CapacityLimiter(MAX_SEARCHES)
    app.state.overviews = overviews
    app.state.evidence = evidence
    app.state.shadow_pictures = shadow_pictures
    app.state.stage_reports = stage_reports
    app.state.problems = problems
    app.state.readers = reader_figures
    app.state.reader_names = reader_names
    app.state.login_limits = LoginLimits()
    app.state.renderer = Renderer(Assets.read())
    paths = _add_routes(app)
    install_handlers(app)
    _add_middleware(app, services, paths=paths)
    return app


def _threads(services: Services) -> list[_Background]:
    """Return the background threads of the services that there are, in the order in which they start."""
    listener = services.champion_listener and services.champion_listener(services.host.wake)
    optional = (
        listener,
        services.reconciler,
        services.schedule,
        services.notifier,
        services.result_sender,
    )
    return [services.host, *(each for each in optional if each)]


def _add_routes(app: FastAPI) -> frozenset[str]:
    """Add all routes; returns their paths."""
    modules = (webhook, health, setup, predict, metrics, provenance, readings, stages, runs)
    paths: set[str] = set()
    for router in (*(module.router for module in modules), *api.ROUTERS, api.DESCRIPTION, *ROUTERS):
        app.include_router(router)
        paths |= {each.path for each in router.routes if isinstance(each, Route)}
    return frozenset(paths)


def _add_middleware(app: FastAPI, services: Services, *, paths: frozenset[str]) -> None:
    """Add the middleware from the innermost to the outermost."""
    app.add_middleware(BodyLimit, max_bytes=services.settings.max_body_bytes)
    app.add_middleware(SecretRequired, services=services)
    app.add_middleware(RateLimit, is_exempt=partial(is_exempt_from_guess_limit, settings=services.settings))
    app.add_middleware(Identify, services=services)
    app.add_middleware(OwnPagesOnly)
    app.add_middleware(Guard, metrics=services.metrics, paths=paths)


def _stage_report(services: Services, project: int) -> StageReport:
    return services.site.stages.show(project)


def _reader_names(services: Services, _: None) -> Mapping[str, str]:
    return names_by_pseudonym(services.site.label_studio, secret=services.settings.annotator_secret)


def _close(threads: Sequence[_Background], site: Site) -> None:
    for thread in reversed(threads):
        thread.stop()
    site.close()
