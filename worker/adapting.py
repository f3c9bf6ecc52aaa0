"""An adaptation on a site. Torch is imported when it runs, not before."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mammo.errors import InvalidSettings
from mammo.runs import Run, RunLedger
from mammo.runs.payloads import PrelabelProject
from mammo.runs.states import NO_PROJECT
from mammo.site import Site
from worker.retraining import retrain_context

if TYPE_CHECKING:
    from training.retrain.step_progress import ReportStep


def adapt_on_site(run: Run, ledger: RunLedger, site: Site, report: ReportStep) -> dict[str, Any]:
    """Run the steps of a claimed adaptation; see `training.adapt.adapt`.

    Raises:
        InvalidSettings: there is no such recipe.
        InvalidBackgrounds: this host has no background set of a name that the run needs.
    """
    from training.adapt.adapt import adapt
    from training.adapt.recipes import ADAPT_RECIPES

    if run.recipe not in ADAPT_RECIPES:
        raise InvalidSettings(f"recipe {run.recipe!r} is not one of {', '.join(ADAPT_RECIPES)}")
    recipe = ADAPT_RECIPES[run.recipe].with_gate(
        primary=site.settings.gate_primary or None,
        confidence=site.settings.gate_confidence,
        min_patients=site.settings.gate_min_patients,
    )
    request = site.runs.adaptation(run)
    return adapt(
        request,
        sets=[site.backgrounds.get(name) for name in request.backgrounds],
        run=run.id,
        recipe=recipe,
        context=retrain_context(site),
        report=report,
        ledger=ledger,
    )


def announce_promotion(project: int, version: str, site: Site) -> None:
    """Tell the backends of a new champion or provisional model, and enqueue the refresh of its project, if any.

    Raises:
        StorageUnavailable: Redis does not respond.
    """
    site.announce_champion(version)
    if project != NO_PROJECT:
        site.queue.enqueue_prelabel(PrelabelProject(project, version, refresh=True))
