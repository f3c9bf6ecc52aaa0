"""The `RetrainContext` of a site. Torch is imported when it is built, not before."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mammo.site import Site

if TYPE_CHECKING:
    from training.retrain.context import RetrainContext


def retrain_context(site: Site) -> RetrainContext:
    """Return the networks, stores and folders that a retrain on this site works with."""
    from training.datasets.sources import preference
    from training.evaluation.cache import EvaluationCache
    from training.retrain.context import RetrainContext
    from training.retrain.networks import Networks

    settings = site.settings
    size = settings.evaluation_cache_bytes
    return RetrainContext(
        engine=site.engine,
        store=site.store,
        registry=site.registry,
        blobs=site.blobs,
        open_image=site.images.open,
        fingerprint=site.images.fingerprint,
        secret=settings.annotator_secret,
        networks=Networks(
            threads=settings.threads,
            runtime=settings.runtime,
            exported=settings.exported,
            processes=settings.train_processes,
        ),
        evaluations=EvaluationCache(settings.evaluations, max_bytes=size) if size else None,
        train_on_automatic=settings.train_on_automatic,
        runs=settings.runs,
        models=settings.models,
        prefer=preference(settings.dataset_sources),
    )
