"""Hand-written stand-ins for the store, the queue, the registry, the model and the images."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from typing import Any, ClassVar

import numpy as np
import sqlalchemy as sa
from starlette.testclient import TestClient

from backend.app import create_app
from backend.metrics import Metrics
from backend.model_host import ModelHost, ProjectVersions
from backend.retrain_triggers import RetrainTriggers
from backend.services import Services
from backend.shadow_model import ShadowModel
from mammo.annotations import DatasetFacts, NewCorrections, Prelabel, Receipt, project_of
from mammo.annotations.prelabels import digest_of_images
from mammo.database import metadata
from mammo.dicom import Mammogram
from mammo.efforts.effort_records import Efforts
from mammo.errors import (
    ImageNotFound,
    ImageUnavailable,
    InvalidWeights,
    ModelNotFound,
    StorageUnavailable,
    UnknownAnnotation,
)
from mammo.findings import CLUSTER, Finding, ImageFindings
from mammo.geometry import Box, Point, Size, Spacing
from mammo.images.downloads.hosts import Purpose
from mammo.images.task_images import LocalImage
from mammo.labelstudio.client import SECRET_HEADER
from mammo.lenient_json import loads
from mammo.masks import Mask
from mammo.models import Alias
from mammo.runs import RunService
from mammo.settings import Settings
from mammo.trace import Trace
from tests.fakes.queue import FakeQueue
from tests.sites import site_of

PASSWORD, SECRET = "right-password", "right-secret"
BASIC = {"Authorization": "Basic " + base64.b64encode(f"label-studio:{PASSWORD}".encode()).decode()}
HOOK = {SECRET_HEADER: SECRET}
WIDTH, HEIGHT = 160, 120
BOX = Box(10, 20, 40, 50)


def memory_engine() -> sa.Engine:
    """A database of its own, in memory."""
    engine = sa.create_engine("sqlite://", poolclass=sa.StaticPool, connect_args={"check_same_thread": False})
    metadata.create_all(engine)
    return engine


class FakeStore:
    """Keeps events and prelabels in memory; `down` makes every call fail as a full disk does."""

    def __init__(self) -> None:
        self.events: list[tuple[str, bytes]] = []
        self.prelabels: dict[tuple[int, int, str], Prelabel] = {}
        self.num_corrections = 0
        self.num_patients = 0
        self.dataset: DatasetFacts | None = DatasetFacts("d1", 40, 10)
        self.down = False
        self.problem: str | None = None
        self.closed = False

    def _check(self) -> None:
        self.problem = "storage_unavailable" if self.down else None
        if self.down:
            raise StorageUnavailable("the disk is full")

    def retry(self) -> None:
        with suppress(StorageUnavailable):
            self._check()

    def append(self, body: bytes, *, action: str, received_at: datetime, headers=None) -> Receipt:
        self._check()
        duplicate = (action, body) in self.events
        self.events.append((action, body))
        project = project_of(loads(body))
        return Receipt(event=len(self.events), duplicate=duplicate, project=project, num_revisions=1)

    def projects(self) -> list[int]:
        self._check()
        return []

    def corrections_since(self, project: int, moment: datetime | None = None) -> int:
        self._check()
        return self.num_corrections

    def patients_since(self, project: int, moment: datetime | None = None) -> int:
        self._check()
        return self.num_patients

    def new_corrections(self, project: int) -> NewCorrections:
        self._check()
        return NewCorrections(corrections=self.num_corrections, patients=self.num_patients)

    def newest_dataset(self, project: int) -> DatasetFacts | None:
        self._check()
        return self.dataset

    def last_event(self) -> int:
        return len(self.events)

    def prelabel(self, project: int, task: int, model_version: str) -> Prelabel | None:
        self._check()
        return self.prelabels.get((project, task, model_version))

    def record_prelabel(
        self,
        *,
        project: int,
        task: int,
        model_version: str,
        regions: Sequence[dict[str, Any]],
        score: float,
        images: Mapping[str, str],
        num_cut: int = 0,
        shown: bool = True,
        sizes: Mapping[str, Size] | None = None,
    ) -> None:
        self._check()
        moment = datetime.now(UTC)
        self.prelabels[project, task, model_version] = Prelabel(
            id=len(self.prelabels) + 1,
            project=project,
            task=task,
            model_version=model_version,
            regions=list(regions),
            score=score,
            image_sha256=digest_of_images(images),
            created_at=moment,
            num_cut=num_cut,
            shown_at=moment if shown else None,
        )

    def show_prelabel(self, project: int, task: int, model_version: str) -> None:
        self._check()
        kept = self.prelabels[project, task, model_version]
        if kept.shown_at is None:
            self.prelabels[project, task, model_version] = replace(kept, shown_at=datetime.now(UTC))

    def close(self) -> None:
        self.closed = True


@dataclass(frozen=True)
class FakeSegmentation:
    mask: Mask | None
    presence: float | None = 0.75
    notes: tuple[str, ...] = ("the image states no pixel spacing",)


class FakePrelabeller:
    """Finds one filled box in every image; remembers what it was asked."""

    runtimes: ClassVar = {"detector": "fake", "segmenter": "fake"}

    def __init__(self, version: str = "m1") -> None:
        self.version = version
        self.prelabelled: list[str] = []
        self.thresholds: list[float | None] = []
        self.clicks: list[tuple[Box | None, tuple[Point, ...], tuple[Point, ...]]] = []
        self.previous: list[FakeSegmentation | None] = []
        self.reconsidered: list[tuple[int, tuple[Point, ...], tuple[Point, ...]]] = []
        """Area of the mask, and clicks, of each outline that was corrected."""

        self.unseen: list[Box] = []
        self.seen: list[Box] = []
        self.speck_points: list[Point] = []
        self.sees_something = True
        self.num_cut = 0
        self.seconds: Callable[[], object] = lambda: None
        """Called by every prelabel: sleeps in tests of slow models."""

    def prelabel(self, mammogram: Mammogram, /, *, threshold: float | None) -> ImageFindings:
        self.prelabelled.append(mammogram.sha256)
        self.thresholds.append(threshold)
        self.seconds()
        return ImageFindings(findings=(self._finding(0.8),), num_cut=self.num_cut)

    def answer(
        self,
        mammogram: Mammogram,
        box: Box | None,
        positive: Sequence[Point],
        negative: Sequence[Point],
        /,
        *,
        previous: FakeSegmentation | None = None,
    ) -> FakeSegmentation:
        self.clicks.append((box, tuple(positive), tuple(negative)))
        self.previous.append(previous)
        return FakeSegmentation(self._finding(1.0).mask if self.sees_something else None)

    def reconsider(
        self, mammogram: Mammogram, mask: Mask, positive: Sequence[Point], negative: Sequence[Point], /
    ) -> FakeSegmentation:
        """Sees what is there already, without `unseen` of it, and with `seen` beside it."""
        self.reconsidered.append((mask.area, tuple(positive), tuple(negative)))
        bitmap = mask.full(mammogram.size)
        for box, value in [*((box, 0) for box in self.unseen), *((box, 1) for box in self.seen)]:
            bitmap[box.slices] = value
        return FakeSegmentation(Mask.from_full(bitmap))

    def describe(self, mammogram: Mammogram, mask: Mask, /) -> str:
        return f"{mask.area} pixels"

    def specks(self, mammogram: Mammogram, mask: Mask, /) -> tuple[Point, ...]:
        return tuple(point for point in self.speck_points if mask.holds(point))

    @staticmethod
    def _finding(score: float) -> Finding:
        mask = Mask(np.ones((BOX.height, BOX.width), np.bool_), BOX.x0, BOX.y0)
        return Finding(label=CLUSTER, score=score, box=BOX, prompts=(Point(12, 22),), mask=mask, id="c1")


class FakeImages:
    """Gives every task a grey image; `/broken.png` is not found, `/bug.png` raises what nobody expected."""

    def __init__(self) -> None:
        self.num_opened = 0
        self.fetched: list[tuple[Purpose, float | None]] = []
        """Purpose and deadline of each download."""

        self.downloading: Callable[[Mapping[str, Any]], object] = lambda _: None
        """Called by every download: waits in tests of slow servers."""

        self.spacing: Spacing | None = None

    def local(self, data: Mapping[str, Any], /) -> LocalImage | None:
        """None is on this machine, but for those that name a file."""
        return LocalImage(partial(self.open, data)) if "mammogram" in data else None

    def fetch(
        self, data: Mapping[str, Any], /, *, deadline: float | None = None, purpose: Purpose = "background"
    ) -> LocalImage:
        self.fetched.append((purpose, deadline))
        self.downloading(data)
        return LocalImage(partial(self.open, data))

    def open(self, data: Mapping[str, Any], /) -> Mammogram:
        self.num_opened += 1
        if data.get("image") == "/broken.png":
            raise ImageNotFound("not there: /secret/patient-name.dcm")
        if data.get("image") == "/away.png":
            raise ImageUnavailable("the server does not answer")
        if data.get("image") == "/bug.png":
            raise RuntimeError("PatientName=Doe^Jane")
        return Mammogram(
            pixels=np.full((HEIGHT, WIDTH), 0.5, np.float32),
            spacing=self.spacing,
            laterality=None,
            view=None,
            patient=None,
            sha256=str(data.get("sha256", "a" * 64)),
            depth=12,
        )


class FakeRegistry:
    """A champion that tests move; versions in `broken` do not load; `down` is an outage."""

    def __init__(self, version: str | None = "m1") -> None:
        self.version = version
        self.broken: set[str] = set()
        self.down = False
        self.loads: list[str] = []

    def champion(self) -> Alias:
        if self.down:
            raise StorageUnavailable("the database is gone")
        if self.version is None:
            raise ModelNotFound("no champion yet")
        return Alias(self.version, 1)

    def load(self, version: str) -> FakePrelabeller:
        self.loads.append(version)
        if version in self.broken:
            raise InvalidWeights(f"{version}: a tensor has another shape")
        return FakePrelabeller(version)


def unknown_annotation(annotation: int) -> Trace:
    raise UnknownAnnotation(f"nothing is known of annotation {annotation}")


def settings(**changes: Any) -> Settings:
    return Settings(**{"auth_password": PASSWORD, "webhook_secret": SECRET, **changes})


@dataclass
class Backend:
    """A backend on fakes, its model loaded, and a client for it."""

    changes: dict[str, Any] = field(default_factory=dict)
    store: FakeStore = field(default_factory=FakeStore)
    queue: FakeQueue = field(default_factory=FakeQueue)
    images: FakeImages = field(default_factory=FakeImages)
    registry: FakeRegistry = field(default_factory=FakeRegistry)
    parts: dict[str, Any] = field(default_factory=dict)
    """Of its site, in place of those that are usual here."""

    shadow: ShadowModel | None = None
    engine: sa.Engine = field(default_factory=memory_engine)

    def __post_init__(self) -> None:
        self.host = ModelHost(
            self.registry,
            load=self.registry.load,
            every=0.01,
            projects=ProjectVersions(before_first_look=settings(**self.changes).pinned_models),
        )
        self.host.look()
        configured = settings(**self.changes)
        metrics, engine = Metrics(), self.engine
        site = site_of(
            configured,
            engine=engine,
            store=self.store,
            queue=self.queue,
            runs=RunService.of(configured, engine, self.queue),
            **{"trace": unknown_annotation, "efforts": lambda _: Efforts(), "withholding": lambda *_: None}
            | self.parts,
        )
        self.services = Services(
            site=site,
            triggers=RetrainTriggers.of(configured, site.runs, self.store, metrics=metrics),
            metrics=metrics,
            host=self.host,
            images=self.images,
            shadow=self.shadow,
        )
        self.client = TestClient(create_app(self.services), raise_server_exceptions=False)

    @property
    def model(self) -> FakePrelabeller:
        prelabeller = self.host.current().prelabeller
        assert isinstance(prelabeller, FakePrelabeller)
        return prelabeller

    def predict(self, *tasks: dict[str, Any], **body: Any) -> Any:
        return self.client.post(
            "/predict", json={"tasks": tasks, "project": "3.1795411016", **body}, headers=BASIC
        )

    def counted(self, line: str) -> bool:
        return line in self.client.get("/metrics", headers=BASIC).text.splitlines()
