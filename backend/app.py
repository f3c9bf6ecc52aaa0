"""The backend as an ASGI application: Label Studio's ML backend protocol and its webhooks."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import partial

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
from mammo.stages import StageReport

MAX_CLICKS = 2
MAX_TASKS = 1
"""Places of the networks, for clicks and tasks. One mammogram keeps all cores busy; more only cost memory."""

MAX_EVENTS = 8
"""Threads that store events. Their own limit: a database that cannot be written to must not block all other routes."""


def create_app(services: Services) -> FastAPI:
    """Build the application. Its lifespan starts the background threads, and closes the site at the end."""
    backlog, shadow = Backlog(), Shadow(services, services.shadow)
    overviews, problems = ProjectOverviews(services.site), Problems(services.site)
    evidence, shadow_pictures = ModelEvidence(services.site), ShadowPictures(services)
    stage_reports: Refreshed[int, StageReport] = Refreshed(partial(_stage_report, services))
    reader_figures: Refreshed[int, ProjectReaders] = Refreshed(services.site.readers)
    reader_names: Refreshed[None, Mapping[str, str]] = Refreshed(partial(_reader_names, services))
    listener = services.champion_listener and services.champion_listener(services.host.wake)

    @asynccontextmanager
    async def lifespan(started: FastAPI) -> AsyncIterator[None]:
        started.state.renderer.compile()
        services.host.start()
        if listener:
            listener.start()
        if services.reconciler:
            services.reconciler.start()
        if services.schedule:
            services.schedule.start()
        for sender in filter(None, (services.notifier, services.result_sender)):
            sender.start()
        backlog.start()
        shadow.backlog.start()
        try:
            yield
        finally:
            if listener:
                await anyio.to_thread.run_sync(listener.stop)
            overviews.close()
            evidence.close()
            shadow_pictures.close()
            stage_reports.close()
            problems.close()
            reader_figures.close()
            reader_names.close()
            await anyio.to_thread.run_sync(_close, services, backlog, shadow.backlog)

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
    paths: set[str] = set()
    modules = (webhook, health, setup, predict, metrics, provenance, readings, stages, runs)
    for router in (*(module.router for module in modules), *api.ROUTERS, api.DESCRIPTION, *ROUTERS):
        app.include_router(router)
        paths |= {each.path for each in router.routes if isinstance(each, Route)}
    install_handlers(app)
    app.add_middleware(BodyLimit, max_bytes=services.settings.max_body_bytes)
    app.add_middleware(SecretRequired, services=services)
    app.add_middleware(RateLimit, is_exempt=partial(is_exempt_from_guess_limit, settings=services.settings))
    app.add_middleware(Identify, services=services)
    app.add_middleware(OwnPagesOnly)
    app.add_middleware(
        Guard, metrics=services.metrics, paths=frozenset(paths)
    )  # added last, so it is the outermost
    return app


def _stage_report(services: Services, project: int) -> StageReport:
    return services.site.stages.show(project)


def _reader_names(services: Services, _: None) -> Mapping[str, str]:
    return names_by_pseudonym(services.site.label_studio, secret=services.settings.annotator_secret)


def _close(services: Services, *backlogs: Backlog) -> None:
    for backlog in backlogs:
        backlog.stop()
    services.host.stop()
    if services.reconciler:
        services.reconciler.stop()
    if services.schedule:
        services.schedule.stop()
    for sender in filter(None, (services.notifier, services.result_sender)):
        sender.stop()
    services.site.close()
