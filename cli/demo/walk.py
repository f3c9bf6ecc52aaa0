"""Walk: the steps of the loop on a running stack. Each step checks that it really happened."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx

from cli.demo.expert import correct
from cli.demo.stack import Stack
from mammo.blobs import hash_file
from mammo.efforts.edit_effort import EditEffort, edit_effort
from mammo.errors import MammoError
from mammo.exchange.importing import import_mammogram
from mammo.exchange.task_data import TWINS
from mammo.findings import Finding
from mammo.geometry import Size
from mammo.labelstudio.client import ConnectedBackend, LabelStudioClient
from mammo.labelstudio.interpretation import from_regions
from mammo.labelstudio.labeling_config import ControlTags, labeling_config
from mammo.labelstudio.rendering import truth_regions
from mammo.runs.jobs import JobStatus
from mammo.runs.payloads import PrelabelProject
from mammo.site import Site
from training.cases import Case, Progress, portion
from training.datasets.folds import Fold, assign_folds

POLL_SECONDS = 0.5
JOB_SECONDS = 3600.0
WEBHOOK_SECONDS = 30.0


class StepFailed(MammoError):
    """A step of the demo did not have its expected effect."""

    code = "step_failed"


@dataclass(frozen=True)
class Reading:
    """The expert's correction of one task."""

    task: int
    prelabel: tuple[Finding, ...]
    corrected: tuple[Finding, ...]
    effort: EditEffort


@dataclass
class Walk:
    """One demo: its project, the tasks, and the annotations so far."""

    stack: Stack
    project: int = 0
    connection: ConnectedBackend | None = None
    tags: ControlTags = field(default_factory=lambda: ControlTags.read(labeling_config()))
    """Control tags of the project."""

    cases: dict[int, Case] = field(default_factory=dict)
    """Phantoms by task id. Only the expert and the report use their truth."""

    data: dict[int, dict[str, Any]] = field(default_factory=dict)
    """Task data by task id."""

    annotations: int = 0
    """Number of annotations submitted so far."""

    @property
    def site(self) -> Site:
        return self.stack.site

    @property
    def client(self) -> LabelStudioClient:
        return self.site.client

    def create_project(self, config: str | None = None) -> None:
        """Create the project with storage, ML backend and webhook; `config` defaults to Yolo-MLSAM's own."""
        config = config or labeling_config()
        self.tags = ControlTags.read(config)
        self.project = self.client.create_project("Microcalcification clusters (phantoms)", config)
        twins = self.stack.label_studio.files.resolve() / TWINS
        twins.mkdir(exist_ok=True)  # Label Studio refuses a folder that does not exist
        self.client.add_local_storage(self.project, twins)
        settings = self.stack.settings
        self.connection = self.client.connect_backend(
            self.project,
            self.stack.backend_url,
            user=settings.auth_user,
            password=settings.auth_password.get_secret_value(),
            webhook_secret=settings.webhook_secret.get_secret_value(),
        )

    def import_cases(self, cases: Sequence[Case], progress: Progress) -> None:
        """Make a twin and a task for every phantom; their files are below the mammogram root."""
        settings = self.stack.settings
        root = settings.mammogram_root
        assert root is not None
        secret = settings.patient_secret.get_secret_value().encode()
        by_image = {case.image: case for case in cases}
        described = []
        files = [file for file in sorted(root.rglob("*.dcm")) if hash_file(file) in by_image]
        for index, file in enumerate(files, 1):
            described.append(
                import_mammogram(file, root=root, files=self.stack.label_studio.files, patient_secret=secret)
            )
            progress(index / len(files), f"{index} of {len(files)} mammograms")
        self.client.import_tasks(self.project, described)
        known = len(self.cases)
        for task in self.client.tasks(self.project):
            if task["id"] not in self.cases:
                self.data[task["id"]] = task["data"]
                self.cases[task["id"]] = by_image[task["data"]["sha256"]]
        became = len(self.cases) - known
        _require(became == len(cases), f"{len(cases)} mammograms became {became} tasks")

    def hold_out(self, cases: Sequence[Case], progress: Progress) -> None:
        """Give the gate patients whose truth is known: import them, annotate them with it, and never train on them.

        Nobody has seen a prelabel of them, so their truth owes nothing to a model.
        """
        before = set(self.cases)
        self.import_cases(cases, portion(progress, 0.0, 0.8))
        tasks = sorted(set(self.cases) - before)
        for index, task in enumerate(tasks, 1):
            truth = self.cases[task].truth
            regions = truth_regions(truth, size=self.size(task), tags=self.tags, source="phantom")
            self.client.annotate(task, regions)
            self.annotations += 1
            progress(0.8 + 0.2 * index / len(tasks), f"truth of {index} of {len(tasks)} mammograms")
        self.expect_corrections()
        positive = {
            case.patient: any(each.truth for each in cases if each.patient == case.patient) for case in cases
        }
        test: tuple[Fold, ...] = ("test",)
        assign_folds(self.site.engine, positive, before=dict.fromkeys(positive, test))

    def prelabel(self, progress: Progress) -> None:
        """Prelabel every task with the champion through the queue; check the predictions in Label Studio."""
        queued = self.site.queue.enqueue_prelabel(PrelabelProject(self.project, None))
        self.finish(queued.job_id, progress)
        self.expect_predictions(self.version())

    def version(self) -> str:
        """Return the model version that the backend serves now."""
        version = self.stack.health().get("model_version")
        _require(isinstance(version, str), "the backend serves no model")
        return str(version)

    def expect_predictions(self, version: str) -> None:
        """Check that every task has exactly one prediction of a model version, with a score in [0, 1]."""
        for task in self.cases:
            scores = [p["score"] for p in self.client.predictions(task) if p["model_version"] == version]
            _require(len(scores) == 1, f"task {task} has {len(scores)} predictions of {version}, expected 1")
            _require(0.0 <= scores[0] <= 1.0, f"task {task} has the score {scores[0]}, expected 0 to 1")

    def ask_backend(self, task: int) -> dict[str, Any]:
        """Return the prediction of one task by `/predict`, requested as Label Studio does."""
        body = {
            "tasks": [{"id": task, "data": self.data[task], "project": self.project}],
            "project": f"{self.project}.1",
            "label_config": labeling_config(),
            "params": {"context": None},
        }
        answer = httpx.post(
            f"{self.stack.backend_url}/predict", json=body, auth=self.stack.auth, timeout=100, trust_env=False
        )
        _require(answer.status_code == httpx.codes.OK, f"/predict answered {answer.status_code}")
        results = answer.json()["results"]
        _require(len(results) == 1, f"/predict answered {len(results)} results for one task")
        return dict(results[0])

    def read(self, tasks: Sequence[int], version: str, progress: Progress) -> list[Reading]:
        """Let the expert correct tasks in Label Studio; check that the corrections arrive by webhook."""
        readings = []
        for index, task in enumerate(tasks, 1):
            prediction = next(p for p in self.client.predictions(task) if p["model_version"] == version)
            reading = self.reading(task, prediction)
            regions = truth_regions(reading.corrected, size=self.size(task), tags=self.tags, source=version)
            self.client.annotate(task, regions, lead_time=12.0, parent_prediction=prediction["id"])
            self.annotations += 1
            readings.append(reading)
            progress(index / len(tasks), f"{index} of {len(tasks)} tasks")
        self.expect_corrections()
        return readings

    def reading(self, task: int, prediction: dict[str, Any]) -> Reading:
        """Return the expert's correction of a prediction, without submitting it."""
        prelabel = from_regions(prediction["result"], tags=self.tags)
        corrected = correct(prelabel, self.cases[task].truth)
        return Reading(task, tuple(prelabel), tuple(corrected), edit_effort(prelabel, corrected))

    def size(self, task: int) -> Size:
        """Return the size of a task's image."""
        return self.cases[task].read().size

    def expect_corrections(self) -> None:
        """Check that every submitted annotation is in the store, where only Label Studio's webhook puts it."""
        _wait_for(
            lambda: len(self.site.store.corrections(self.project)) >= self.annotations,
            within=WEBHOOK_SECONDS,
            otherwise=f"fewer than {self.annotations} corrections arrived by webhook",
        )

    def train(self, progress: Progress) -> dict[str, Any]:
        """Press Label Studio's "Start training" twice; check that one run starts and succeeds. Return its outcome."""
        assert self.connection is not None
        self.client.start_training(self.connection.ml_backend)
        _wait_for(
            lambda: self.site.queue.active(self.project) is not None,
            within=WEBHOOK_SECONDS,
            otherwise="START_TRAINING did not start a run",
        )
        first = self.site.queue.active(self.project)
        self.client.start_training(self.connection.ml_backend)
        _require(self.site.queue.active(self.project) == first, "a second trigger started a second run")
        assert first is not None
        return self.finish(first, progress).result or {}

    def expect_reload(self, version: str) -> None:
        """Check that the backend loads the promoted version."""
        _wait_for(
            lambda: self.version() == version, within=120, otherwise=f"the backend did not load {version}"
        )

    def expect_refresh(self, version: str, progress: Progress) -> None:
        """Check that after a promotion every task gets a new prediction beside the old one.

        A promotion refreshes the tasks that nobody has annotated; here all are asked for.
        """
        self.site.queue.enqueue_prelabel(PrelabelProject(self.project, version))
        deadline = time.monotonic() + JOB_SECONDS
        while time.monotonic() < deadline:
            done = sum(
                any(p["model_version"] == version for p in self.client.predictions(task))
                for task in self.cases
            )
            progress(done / len(self.cases), f"{done} of {len(self.cases)} tasks")
            if done == len(self.cases):
                break
            time.sleep(4 * POLL_SECONDS)
        self.expect_predictions(version)

    def finish(self, job_id: str, progress: Progress) -> JobStatus:
        """Wait for a job, reporting its progress.

        Raises:
            StepFailed: it failed or was cancelled, or takes more than an hour.
        """
        deadline = time.monotonic() + JOB_SECONDS
        while time.monotonic() < deadline:
            status = self.site.queue.status(job_id)
            if status.state == "finished":
                progress(1.0, "done")
                return status
            _require(
                status.state in ("queued", "started", "deferred", "scheduled"),
                f"job {job_id} is {status.state}: {status.error}; see {self.stack.processes.log('worker')}",
            )
            progress(status.progress, f"{status.stage}: {status.message}".strip(": "))
            time.sleep(POLL_SECONDS)
        raise StepFailed(f"job {job_id} did not end within {JOB_SECONDS:.0f} s")


def _wait_for(condition: Callable[[], bool], *, within: float, otherwise: str) -> None:
    deadline = time.monotonic() + within
    while not condition():
        _require(time.monotonic() < deadline, f"{otherwise} within {within:.0f} s")
        time.sleep(POLL_SECONDS)


def _require(holds: bool, otherwise: str) -> None:
    if not holds:
        raise StepFailed(otherwise)
