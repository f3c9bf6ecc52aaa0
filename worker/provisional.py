"""A run for a provisional model on a site. Torch is imported when it runs, not before."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mammo.errors import InvalidSettings
from mammo.runs import RunLedger
from mammo.runs.payloads import Retrain
from mammo.site import Site
from worker.retraining import retrain_context

if TYPE_CHECKING:
    from training.retrain.step_progress import ReportStep


def make_provisional(
    order: Retrain, run: str, ledger: RunLedger, site: Site, report: ReportStep
) -> dict[str, Any]:
    """Run the steps of a claimed run; see `training.provisional.provisional`.

    Raises:
        InvalidSettings: there is no such recipe.
    """
    from training.provisional.provisional import provisional
    from training.provisional.recipes import PROVISIONAL_RECIPES

    if order.recipe not in PROVISIONAL_RECIPES:
        raise InvalidSettings(f"recipe {order.recipe!r} is not one of {', '.join(PROVISIONAL_RECIPES)}")
    recipe = PROVISIONAL_RECIPES[order.recipe].with_gate(primary=site.settings.gate_primary or None)
    report("dataset", 0.0, "asking Label Studio for corrections whose webhooks were lost")
    site.reconcile(order.project, complete=True)
    return provisional(
        order,
        run=run,
        recipe=recipe,
        gate_patients=site.settings.min_test_patients(site.settings.recipe),
        context=retrain_context(site),
        report=report,
        tags=site.tags(order.project),
        ledger=ledger,
    )
