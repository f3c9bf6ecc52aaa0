"""The learning curve of a project after a judged run. Numpy and scipy are imported when it is computed, not before."""

from __future__ import annotations

from typing import Any

import structlog

from mammo.runs import Runs
from mammo.runs.states import NO_PROJECT
from mammo.site import Site

log = structlog.get_logger()


def record_learning_curve(project: int, run: str, site: Site) -> None:
    """Keep the curve of what the project's runs have left behind. A failure is logged, and fails no run.

    While the runs have left too few points for a power law, the points and the law that `runs curve --compute` measured
    stay, and only what is missing until the gate could tell a gain is new.
    """
    from training.learning_curve.runs import curve_from_runs, gate_rule

    if project == NO_PROJECT:
        return
    try:
        curve = curve_from_runs(
            project, runs=Runs(site.engine), blobs=site.blobs, rule=gate_rule(site.settings)
        )
        if curve is None:
            return
        content: dict[str, Any] = curve.to_json()
        before = site.learning_curves.newest(project)
        if content["law"] is None and before is not None and before["law"] is not None:
            shown = {key: value for key, value in before.items() if key not in ("run", "at")}
            content = {**shown, "missing": content["missing"], "sentence": content["sentence"]}
        site.learning_curves.append(project, content, run=run)
    except Exception as error:  # the verdict stands, whatever becomes of its curve
        log.warning("no learning curve", project=project, run=run, error=type(error).__name__)
