"""ExamProject: a project of exams on a running stack whose tasks a scripted reader corrects."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from benchmarks.corrections.editor import Editor
from benchmarks.corrections.meaning import Meaning, Stored, compare
from benchmarks.corrections.reader import Impossible, Kind, Reader
from benchmarks.corrections.shapes import RECORDED, shapes
from cli.demo.walk import Walk
from mammo.annotations import AnnotationStore
from mammo.blobs import Blobs
from mammo.database import open_database
from mammo.exam_views import EXAM_VIEWS
from mammo.geometry import Size
from mammo.images.image_downloads import ImageDownloads
from mammo.images.task_images import TaskImages
from mammo.labelstudio import ControlTags
from mammo.models import ModelRegistry
from mammo.trace import trace
from training.datasets.building import build_dataset_version
from training.datasets.sources import PREFERENCE, ReadOptions
from training.datasets.versions import DatasetVersion

SPARE: Kind = "added by hand"
"""Kind of a correction that is possible in every exam."""


@dataclass
class ExamProject:
    """Exams of one size, and what their reader means."""

    walk: Walk
    size: Size
    secret: bytes
    """Of the patient keys."""

    meant: dict[int, Meaning] = field(default_factory=dict)
    """By task."""

    annotations: dict[int, int] = field(default_factory=dict)
    untouched: dict[int, set[str]] = field(default_factory=dict)
    """Findings of each task that the reader left as they were."""

    strange: list[str] = field(default_factory=list)
    """What else went wrong."""

    @property
    def tags(self) -> ControlTags:
        return ControlTags.read(str(self.walk.client.project(self.walk.project)["label_config"]))

    def tasks(self) -> dict[int, Mapping[str, Any]]:
        """Return the data of the tasks by their ids."""
        return {int(each["id"]): each["data"] for each in self.walk.client.tasks(self.walk.project)}

    def reader(self, data: Mapping[str, Any], editor: Editor, draw: random.Random) -> dict[str, Any]:
        """Return the arguments of a `Reader` of an exam."""
        return {
            "prediction": editor.prediction()["result"],
            "size": self.size,
            "tissue": self.tissue(data),
            "random_": draw,
            "ask": editor.ask,
        }

    def editor(self, task: int) -> Editor:
        (backend,) = self.walk.client.call("GET", "/api/ml/", params={"project": self.walk.project})
        return Editor(self.walk.client, self.walk.project, int(backend["id"]), task)

    def correct(
        self, task: int, data: Mapping[str, Any], kinds: Sequence[Kind], draw: random.Random
    ) -> Counter[Kind]:
        """Make corrections over the API, submit them, and return how many of each kind.

        Some exams are submitted halfway, opened again and updated.
        """
        editor = self.editor(task)
        prediction = editor.prediction()["id"]
        reader = Reader(**self.reader(data, editor, draw))
        halfway = draw.randrange(len(kinds)) if draw.random() < 0.3 else -1
        for index, kind in enumerate(kinds):
            correct(reader, kind)
            if index == halfway:
                editor.submit(reader.result, prediction=prediction)
        editor.submit(reader.result, prediction=prediction)
        if unknown := shapes(reader.result) - RECORDED:
            self.strange.append(f"task {task}: the editor would not submit {unknown}")
        self.submitted(task, reader)
        return Counter(kind for kind, _ in reader.done)

    def submitted(self, task: int, reader: Reader) -> None:
        """Note what a reader meant who has submitted."""
        self.meant[task] = reader.meaning
        left = {name for kind, name in reader.done if kind == "untouched"}
        self.untouched[task] = {name for name in left if reader.meaning.findings[name].change == "accepted"}
        self.walk.annotations += 1

    def tissue(self, data: Mapping[str, Any]) -> dict[str, npt.NDArray[np.bool_]]:
        """Return for each view where the breast is, H x W bool, without its edge."""
        folder = self.walk.stack.label_studio.files
        edge = np.ones((91, 91), np.uint8)
        masks = {}
        for view in EXAM_VIEWS:
            twin = next(folder.rglob(f"{data[view.fact_key('sha256')]}.png"))
            image = cv2.imread(str(twin), cv2.IMREAD_GRAYSCALE)
            assert image is not None
            masks[view.name] = cv2.erode((image > 20).astype(np.uint8), edge, borderValue=0).astype(np.bool_)
        return masks

    def problems(self) -> list[str]:
        """Compare a dataset version, and the trace of every annotation, with what was meant."""
        dataset = self.dataset()
        problems = [*self.strange, *(f"excluded: {each}" for each in dataset.excluded)]
        if dataset.num_unexplained or dataset.num_crumbs or dataset.num_deleted:
            problems.append("parts of findings were dropped")
        for task, meaning in self.meant.items():
            stored = {
                item.image_key: [
                    Stored(each.mask.full(self.size).astype(np.bool_), each.descriptors, each.lesion)
                    for each in item.clusters
                    if each.mask is not None
                ]
                for item in dataset.items
                if item.task_id == task
            }
            problems += [f"task {task}, {each}" for each in compare(meaning, stored, size=self.size)]
        return problems + self.untrue_traces()

    def untrue_traces(self) -> list[str]:
        """Return where the trace says otherwise than the reader did."""
        settings, problems = self.walk.stack.settings, []
        engine = open_database(settings.database)
        tags = self.tags
        with closing(AnnotationStore(engine)) as store:
            registry = ModelRegistry(engine, settings.blobs)
            for correction in store.corrections(self.walk.project):
                traced = trace(
                    correction.annotation_id,
                    store=store,
                    engine=engine,
                    registry=registry,
                    secret=self.secret,
                    tags=lambda _project: tags,
                )
                changes = traced.history[-1].changes or []
                kinds = {each.finding: each.kind for each in changes}
                meaning, task = self.meant[correction.task_id], correction.task_id
                added = {name for name, each in meaning.findings.items() if each.change == "added"}
                for said, meant in (("added", added), ("deleted", meaning.deleted)):
                    traced_names = {name for name, kind in kinds.items() if kind == said}
                    if traced_names != meant:
                        problems.append(f"task {task}: {said} {traced_names} in the trace, meant {meant}")
                accepted = {name for name, kind in kinds.items() if kind == "accepted"}
                if missing := self.untouched[task] - accepted:
                    problems.append(f"task {task}: {missing} were left as they are, the trace says otherwise")
        return problems

    def dataset(self) -> DatasetVersion:
        """Build a dataset version of the project."""
        settings = self.walk.stack.settings
        engine = open_database(settings.database)
        images = TaskImages(
            root=settings.mammogram_root,
            downloads=ImageDownloads.of(settings, self.walk.client),
            patient_secret=self.secret,
        )
        options = ReadOptions(tags=self.tags, prefer=PREFERENCE, with_automatic=False, secret=self.secret)
        with closing(AnnotationStore(engine)) as store:
            return build_dataset_version(
                store,
                engine,
                Blobs(settings.blobs),
                project=self.walk.project,
                open_image=images.open,
                options=options,
            )


def correct(reader: Reader, kind: Kind) -> None:
    """Make a correction, or one that is always possible if there is nothing to correct in this way."""
    try:
        reader.correct(kind)
    except Impossible:
        reader.correct(SPARE)
