"""SimulatedProject: the installation of one arm. Everything that the product does, the product's own code does here.

The annotations arrive as Label Studio's webhooks do; database, store, registry, blinding and runs are those of a site.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any, Self

from benchmarks.loop.arms import Arm
from benchmarks.loop.patients import Material
from benchmarks.loop.pieces import RememberingPrelabeller, SharedNetworks
from benchmarks.loop.recipes import Recipes
from mammo.annotations.prelabels import Prelabel
from mammo.efforts.effort_records import Efforts, effort_records
from mammo.errors import InsufficientData, RunConflict
from mammo.labelstudio.labeling_config import ControlTags, labeling_config
from mammo.models import ModelFiles
from mammo.prelabelling import TaskPrelabeller
from mammo.runs import RunLedger, Runs, claim, this_process
from mammo.runs.payloads import Retrain
from mammo.site import Site
from mammo.worklist.order import Candidate, planned
from training.cases import Case, Progress
from training.provisional.provisional import provisional
from training.retrain.context import RetrainContext
from training.retrain.retrain import retrain
from worker.retraining import retrain_context

PROJECT = 1
ANNOTATOR = 1
POSITIVE_SHARE = 0.5
"""Of the random order, whose strata are known only where prelabels are."""


def random_tasks(unread: Iterable[int], number: int) -> list[int]:
    """Return the next unread tasks in the random order of project 1, which depends on their ids only."""
    candidates = [Candidate(task=task, stratum="unknown") for task in unread]
    order = planned(candidates, "random", project=PROJECT, positive_share=POSITIVE_SHARE, limit=number)
    return [place.task for place in order]


def ended(summary: Mapping[str, Any]) -> dict[str, Any]:
    """Return what became of a run, from the product's own summary: kind, verdict in short, and scores."""
    verdict = summary["verdict"]
    return {
        "kind": summary["run"].partition("-")[0],
        "promoted": summary["promoted"] or bool(summary.get("provisional")),
        "reason": summary["reason"],
        "patients": verdict["num_patients"],
        "before": verdict["champion"]["primary"],
        "after": verdict["challenger"]["primary"],
    }


class SimulatedProject:
    """One project of one arm: its tasks, what serves it, and what its annotations have taught."""

    def __init__(self, site: Site, arm: Arm, material: Material, *, recipes: Recipes, pieces: Path) -> None:
        self.arm = arm
        self._recipes = recipes
        self._site, self._material = site, material
        self._networks = SharedNetworks(pieces=pieces)
        self._config = labeling_config()
        self.tags = ControlTags.read(self._config).outlined()
        self.unread = dict(enumerate(material.project, start=1))
        _ = site.registry, site.store  # registers the starter

    @classmethod
    def create(cls, folder: Path, arm: Arm, material: Material, *, recipes: Recipes, pieces: Path) -> Self:
        """Set up an installation in a folder that does not exist."""
        site = Site.load(
            creates=True,
            data_dir=folder,
            database_url="",
            blob_store="",
            patient_secret="simulated",
            threads=1,
            runtime="torch",
            blind_shares={PROJECT: arm.blind_share} if arm.blind_share else {},
        )
        return cls(site, arm, material, recipes=recipes, pieces=pieces)

    def close(self) -> None:
        self._site.store.close()
        self._site.engine.dispose()

    @staticmethod
    def data_of(case: Case) -> dict[str, Any]:
        """Return the data of a task."""
        return {"image": f"/data/{case.image}.png", "sha256": case.image, "patient": case.patient}

    @property
    def serving(self) -> str:
        """The model version that serves the project; empty in the arm without a model."""
        if self.arm.model == "none":
            return ""
        return self._site.own_models().get(PROJECT) or self._site.registry.champion().version

    def model(self) -> RememberingPrelabeller:
        """Return the model that serves."""
        model = self._networks.load(self._files(self.serving))
        assert isinstance(model, RememberingPrelabeller)
        return model

    def next_tasks(self, number: int) -> list[int]:
        """Return the next tasks in the reading order of the arm.

        The random order asks for no prelabel, so it is the same in every arm.
        """
        if self.arm.order == "random":
            return random_tasks(self.unread, number)
        prelabels = {task: self.prelabel(task, shown=False) for task in self.unread}
        candidates = [
            Candidate(
                task=task,
                stratum="positive" if each.regions else "negative",
                score=each.score,
                model_version=each.model_version,
            )
            for task, each in prelabels.items()
        ]
        order = planned(
            candidates, self.arm.order, project=PROJECT, positive_share=POSITIVE_SHARE, limit=number
        )
        return [place.task for place in order]

    def is_blind(self, task: int) -> bool:
        return self._site.blinding.is_blind(PROJECT, task, self.data_of(self.unread[task]))

    def prelabel(self, task: int, *, shown: bool) -> Prelabel:
        """Prelabel a task with the model that serves, and record it."""
        prelabeller = TaskPrelabeller.of(
            self.model(),
            project=PROJECT,
            config=self._config,
            settings=self._site.settings,
            open_image=self._open,
            store=self._site.store,
        )
        prediction = prelabeller.predict(task, self.data_of(self.unread[task]))
        prelabeller.record(task, prediction, project=PROJECT, shown=shown)
        recorded = self._site.store.prelabel(PROJECT, task, prelabeller.version)
        assert recorded is not None, "it was recorded above"
        return recorded

    def regions(self, task: int, *, shown: bool) -> list[dict[str, Any]]:
        """Return the regions of a task's prelabel."""
        return self.prelabel(task, shown=shown).regions

    def annotate(self, task: int, regions: Sequence[Mapping[str, Any]], *, seconds: float) -> None:
        """Store an annotation as Label Studio's webhook brings it; the task is read then."""
        now = datetime.now(UTC)
        body = {
            "project": {"id": PROJECT},
            "task": {"id": task, "data": self.data_of(self.unread.pop(task))},
            "annotation": {
                "id": task,
                "task": task,
                "project": PROJECT,
                "completed_by": ANNOTATOR,
                "was_cancelled": False,
                "lead_time": round(seconds, 2),
                "updated_at": now.isoformat(),
                "result": list(regions),
            },
        }
        self._site.store.append(json.dumps(body).encode(), action="ANNOTATION_CREATED", received_at=now)

    def learn(self, number: int, *, progress: Progress) -> dict[str, Any]:
        """Train after a round as the arm does.

        Returns:
            JSON values: `kind`, `reason`, and `verdict` where there is one.
        """
        if self.arm.model != "learning":
            return {"kind": "none", "reason": "the arm does not learn"}
        if not self.arm.gate:
            return self._unjudged(number, progress)
        with suppress(InsufficientData):
            return ended(self._run("retrain", number, progress))
        if not self.arm.provisional:
            return {"kind": "none", "reason": "too few held-out patients for the gate"}
        try:
            return ended(self._run("provisional", number, progress))
        except (InsufficientData, RunConflict) as error:
            return {"kind": "none", "reason": str(error)}

    def efforts(self) -> Efforts:
        """Return the edit effort of all annotations."""
        site = self._site
        return effort_records(
            PROJECT, store=site.store, engine=site.engine, secret=b"simulated", tags=self.tags
        )

    def _unjudged(self, number: int, progress: Progress) -> dict[str, Any]:
        """Train a challenger and let it serve whatever the gate would have said."""
        summary = self._run("retrain", number, progress)
        if not summary["promoted"]:
            registry = self._site.registry
            epoch = registry.champion().epoch
            registry.promote(
                summary["challenger"], expected_epoch=epoch, reason="this arm has no gate", actor="simulation"
            )
        return ended(summary) | {"promoted": True}

    def _run(self, kind: str, number: int, progress: Progress) -> dict[str, Any]:
        name, runs = f"{kind}-{PROJECT}-{number:012d}", Runs(self._site.engine)
        runs.request(PROJECT, recipe=kind, reason="a round has ended", trigger="corrections", run_id=name)
        owned = claim(runs, name, owner=this_process())
        assert owned is not None, "nobody else works in this folder"
        ledger = RunLedger(self._site.engine, owned)

        def report(step: str, fraction: float, message: str) -> None:
            progress(fraction, f"{kind}, {step}: {message}")

        request, common = Retrain(PROJECT, kind, "a round has ended"), self._context
        try:
            if kind == "provisional":
                return provisional(
                    request,
                    run=name,
                    recipe=self._recipes.provisional,
                    gate_patients=self._recipes.retrain.gate.min_patients,
                    context=common,
                    report=report,
                    tags=self.tags,
                    ledger=ledger,
                )
            recipe = self._recipes.retrain if self.arm.gate else self._recipes.unjudged
            return retrain(
                request, run=name, recipe=recipe, context=common, report=report, tags=self.tags, ledger=ledger
            )
        except (InsufficientData, RunConflict):
            runs.cancel(name, reason="too few patients, or enough for the gate", actor="simulation")
            raise

    @cached_property
    def _context(self) -> RetrainContext:
        return replace(
            retrain_context(self._site),
            networks=self._networks,
            open_image=self._open,
            fingerprint=lambda data: str(data["sha256"]),
        )

    def _open(self, data: Mapping[str, Any]) -> Any:
        return self._material.read(str(data["sha256"]))

    def _files(self, version: str) -> ModelFiles:
        return self._site.registry.files(version, into=self._site.settings.models)
