"""ServedProject: a simulated project in a real Label Studio, with the backend, the queue and a worker of a stack.

Prelabels are those that Label Studio has; annotations are submitted there and arrive by webhook; models are trained by
the worker. Only the annotator is simulated. Her clicks ask the model that serves in this process.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.loop.arms import LOOP
from benchmarks.loop.patients import Material
from benchmarks.loop.pieces import RememberingPrelabeller, SharedNetworks
from benchmarks.loop.project import ended
from cli.demo.stack import Stack
from cli.demo.walk import Walk
from mammo.blobs import hash_file
from mammo.exchange.importing import import_mammogram
from mammo.runs.payloads import PrelabelProject
from training.cases import Progress


class ServedProject:
    """The project of the arm `loop` on a running stack. Tasks have the numbers that the simulation gives them."""

    arm = LOOP

    def __init__(self, stack: Stack, material: Material, *, pieces: Path) -> None:
        """Create the project and import its images.

        Args:
            stack: its mammogram root has the files of the material.
            pieces: folder of what the clicks were answered.
        """
        self._walk, self._site = Walk(stack), stack.site
        self._networks = SharedNetworks(pieces=pieces)
        self._walk.create_project()
        self.tags = self._walk.tags.outlined()
        root = stack.settings.mammogram_root
        assert root is not None
        files = {hash_file(file): file for file in root.rglob("*.dcm")}
        secret = stack.settings.patient_secret.get_secret_value().encode()
        data = [
            import_mammogram(
                files[case.image], root=root, files=stack.label_studio.files, patient_secret=secret
            )
            for case in material.project
        ]
        ids = self._walk.client.import_tasks(self._walk.project, data)
        self.unread = dict(enumerate(material.project, start=1))
        self._ids = dict(enumerate(ids, start=1))

    @property
    def serving(self) -> str:
        """The model version that serves the project."""
        return self._site.serving(self._walk.project)

    def model(self) -> RememberingPrelabeller:
        """Return the model that serves."""
        files = self._site.registry.files(self.serving, into=self._site.settings.models)
        model = self._networks.load(files)
        assert isinstance(model, RememberingPrelabeller)
        return model

    def is_blind(self, task: int) -> bool:
        """Return False: the arm reads nothing blind."""
        return False

    def prelabel(self, progress: Progress) -> None:
        """Let the worker prelabel every task with the model that serves."""
        order = PrelabelProject(self._walk.project, self.serving)
        self._walk.finish(self._walk.site.queue.enqueue_prelabel(order).job_id, progress)

    def regions(self, task: int, *, shown: bool) -> list[dict[str, Any]]:
        """Return the regions of the prediction that Label Studio has of the model that serves."""
        assert shown, "the arm reads nothing blind"
        return list(self._prediction(task)["result"])

    def annotate(self, task: int, regions: Sequence[Mapping[str, Any]], *, seconds: float) -> None:
        """Submit an annotation to Label Studio; the task is read then."""
        parent = self._prediction(task)["id"]
        self._walk.client.annotate(self._ids[task], regions, lead_time=seconds, parent_prediction=parent)
        self._walk.annotations += 1
        self.unread.pop(task)

    def learn(self, progress: Progress) -> dict[str, Any]:
        """Wait for the webhooks, then let the worker make a provisional model; return what became of it."""
        self._walk.expect_corrections()
        started = self._site.runs.start(
            self._walk.project,
            recipe="provisional",
            reason="a round has ended",
            trigger="api",
            actor="benchmark",
        )
        return ended(self._walk.finish(started.run, progress).result or {})

    def _prediction(self, task: int) -> dict[str, Any]:
        found = self._walk.client.predictions(self._ids[task])
        version = self.serving
        return next(each for each in found if each["model_version"] == version)
