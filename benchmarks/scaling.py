"""How costs grow with regions, images, events, annotations and model versions: a line through each set of costs."""

from __future__ import annotations

import hashlib
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from benchmarks.result import Result, milliseconds
from benchmarks.senders import SENDERS, send_at_once
from mammo.annotations import AnnotationStore
from mammo.blobs import Blobs
from mammo.database import open_database
from mammo.detector import Detection
from mammo.dicom import Mammogram, read_mammogram
from mammo.labelstudio.labeling_config import ControlTags
from mammo.labelstudio.rendering import truth_regions
from mammo.models import ModelRegistry
from mammo.models.starter_files import starter_files
from mammo.phantom import vendor_a
from mammo.pipeline import Prelabeller
from mammo.settings import Settings
from tests.postgres_server import PostgresServer
from training.cases import Case, silent
from training.datasets.building import build_dataset_version
from training.datasets.sources import PREFERENCE, ReadOptions
from training.evaluation.model_version import Evaluation, ImageScore, evaluate
from training.gate.gate import GateRule, judge
from training.metrics import Hits
from training.phantom_cases import write_phantom_patients

REGIONS = (0, 2, 4, 8)
IMAGES = (1, 2, 3)
GATED = (50, 100, 200)
BLOCKS, BLOCK = 10, 320
STORED = (100, 200, 400)
NEW = 20
VERSIONS = (10, 40, 80)
ROUNDS = 3
START = datetime(2026, 11, 23, 8, tzinfo=UTC)


@dataclass(frozen=True)
class Cost:
    """Duration and processor time of one call."""

    seconds: float
    processor: float
    """Processor seconds of this process, over all threads; comparable on a busy machine too."""

    @classmethod
    def of(cls, call: Callable[[], object]) -> Cost:
        began, processor = time.perf_counter(), time.process_time()
        call()
        return cls(time.perf_counter() - began, time.process_time() - processor)

    @classmethod
    def median(cls, costs: Sequence[Cost]) -> Cost:
        return cls(
            statistics.median(cost.seconds for cost in costs),
            statistics.median(cost.processor for cost in costs),
        )

    def __sub__(self, other: Cost) -> Cost:
        return Cost(self.seconds - other.seconds, self.processor - other.processor)

    def __truediv__(self, number: int) -> Cost:
        return Cost(self.seconds / number, self.processor / number)


Costs = Mapping[int, Cost]
"""By size."""


def run() -> Result:
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as name:  # /tmp may be a memory file system
        folder = Path(name)
        cases = write_phantom_patients(
            folder / "phantoms",
            seeds=[77],
            appearance=vendor_a(),
            positive=1.0,
            patient_secret=b"k",
            progress=silent,
        )
        file = sorted((folder / "phantoms").glob("*.dcm"))[0]
        settings = Settings.load()
        prelabeller = Prelabeller.load(starter_files(), threads=1, runtime=settings.runtime, exported=None)
        rows = [
            _row("prompts and masks of an image", _regions(prelabeller, cases), "region"),
            _row("evaluation of one model", _evaluation(prelabeller, cases), "image"),
            _row("verdict, 2000 draws", _gate(), "images", per=100),
        ]
        postgres = PostgresServer().start()
        try:
            databases = {"SQLite": f"sqlite:///{folder}/events.db", "PostgreSQL": postgres.new_database()}
            for kind, url in databases.items():
                rows.append(
                    _row(f"one event to the disk, {kind}", _events(url), "events before it", per=10_000)
                )
        finally:
            postgres.stop()
        unchanged, new = _datasets(folder, file, cases[0])
        stored = "annotations in the store"
        rows += [
            _row("dataset version, nothing new", unchanged, stored, per=100),
            _row("each new annotation of a dataset version", new, stored, per=100),
            _row("list of model versions", _registry(folder), "version"),
        ]
    return Result(
        title="How cost grows",
        method=(
            "`make bench ARGS=scaling`. A least-squares line through what was measured: what an empty one costs "
            f"(fixed), and each more, ± its standard error. Medians of {ROUNDS} rounds in turns, but for events "
            f"(blocks of {BLOCK} by {SENDERS} senders) and a dataset version, which is built once with nothing new and "
            f"once with {NEW} new annotations, their DICOM files read. Processor time: of this process, without "
            "PostgreSQL's own. Starter model, one thread, 2560 x 3328 phantoms."
        ),
        columns=(
            "what",
            "measured at",
            "fixed",
            "each more",
            "fixed, processor",
            "each more, processor",
            "of",
        ),
        rows=rows,
    )


def _row(what: str, costs: Costs, unit: str, *, per: int = 1) -> tuple[str, ...]:
    """One row of the table.

    Args:
        per: number of units of the slope.
    """
    clock = _line({size: cost.seconds for size, cost in costs.items()}, per)
    processor = _line({size: cost.processor for size, cost in costs.items()}, per)
    more = f"{per:,} {unit}" if per > 1 else unit
    return what, f"{min(costs):,} to {max(costs):,}", *clock, *processor, more


def _line(seconds: Mapping[int, float], per: int) -> tuple[str, str]:
    """The fixed cost, and the cost of `per` more ± its standard error, by least squares."""
    sizes, taken = np.array(list(seconds), np.float64), np.array(list(seconds.values()))
    (each, fixed), covariance = np.polyfit(sizes, taken, 1, cov="unscaled")
    rest = taken - (fixed + each * sizes)
    error = np.sqrt(rest @ rest / (len(sizes) - 2) * covariance[0, 0])
    return milliseconds(fixed), f"{milliseconds(each * per)} ± {milliseconds(error * per)}"


def _regions(prelabeller: Prelabeller, cases: Sequence[Case]) -> Costs:
    """Prelabel given boxes around a true cluster, each shifted a little further; the detector does not run."""
    mammogram, box = cases[0].read(), cases[0].truth[0].box
    places = [
        box.shifted(4 * number, 4 * number).moved_into(mammogram.size) for number in range(max(REGIONS))
    ]
    detections = [Detection(place, 0.9) for place in places]
    return _medians(
        {
            count: partial(prelabeller.prelabel, mammogram, threshold=None, detections=detections[:count])
            for count in REGIONS
        }
    )


def _evaluation(prelabeller: Prelabeller, cases: Sequence[Case]) -> Costs:
    return _medians(
        {count: partial(evaluate, prelabeller, cases[:count], progress=silent) for count in IMAGES}
    )


def _gate() -> Costs:
    """The verdict alone, with four images per patient and a cluster in every second image."""
    random = np.random.default_rng(0)

    def evaluation(images: int, sensitivity: float) -> Evaluation:
        scores = []
        for number in range(images):
            lesions = number % 2
            is_hit = bool(lesions and random.random() < sensitivity)
            hits = Hits((0.9, 0.2), (is_hit, False), lesions)
            dice = (random.uniform(0.6, 0.9) if is_hit else 0.0,) * lesions
            scores.append(ImageScore(f"{number:064x}", f"p{number // 4}", hits, dice, 1, 0.5))
        return Evaluation("m", 0.1, tuple(scores))

    return _medians(
        {
            count: partial(judge, evaluation(count, 0.7), evaluation(count, 0.8), rule=GateRule(), newest=())
            for count in GATED
        }
    )


def _events(url: str) -> Costs:
    """The cost of an event, by the number of events before it."""
    engine = open_database(url)
    costs: dict[int, Cost] = {}
    with closing(AnnotationStore(engine)) as store:
        for block in range(BLOCKS + 1):
            bodies = [_event(number, []) for number in range(block * BLOCK, (block + 1) * BLOCK)]
            taken = Cost.of(partial(_store_events, store, bodies))
            if block:  # the first block is a warm-up
                costs[block * BLOCK] = taken / BLOCK
    engine.dispose()
    return costs


def _datasets(folder: Path, file: Path, case: Case) -> tuple[Costs, Costs]:
    """A dataset version without new annotations, by the number of annotations; and the cost of each new annotation.

    All tasks share a DICOM file, but have different hashes.
    """
    engine, blobs = open_database(f"sqlite:///{folder}/annotations.db"), Blobs(folder / "blobs")
    mammogram = case.read()
    regions = truth_regions(case.truth, size=mammogram.size, tags=ControlTags(), source="m1")
    nothing_new: dict[int, Cost] = {}
    new: dict[int, Cost] = {}
    number = 0

    with closing(AnnotationStore(engine)) as store:

        def build(read: Callable[[], Mammogram]) -> None:
            build_dataset_version(
                store,
                engine,
                blobs,
                project=1,
                open_image=lambda data: replace(read(), sha256=str(data["sha256"])),
                fingerprint=lambda data: f"{data['sha256']} {file.stat().st_mtime_ns}",
                options=ReadOptions(tags=ControlTags(), prefer=PREFERENCE, with_automatic=False, secret=b"k"),
            )

        for size in STORED:
            _store_events(store, [_event(each, regions) for each in range(number, size)])
            build(lambda: mammogram)
            nothing_new[size] = Cost.of(lambda: build(lambda: mammogram))
            number = size + NEW
            _store_events(store, [_event(each, regions) for each in range(size, number)])
            new[size] = (Cost.of(lambda: build(lambda: read_mammogram(file))) - nothing_new[size]) / NEW
    engine.dispose()
    return nothing_new, new


def _registry(folder: Path) -> Costs:
    """The queries of `models list`."""
    engine = open_database(f"sqlite:///{folder}/registry.db")
    registry = ModelRegistry(engine, folder / "weights")
    costs: dict[int, Cost] = {}
    for size in VERSIONS:
        for number in range(len(registry.versions()), size):
            for part in ("detector", "segmenter"):
                (folder / part).write_bytes(f"{part} {number}".encode())
            manifest = {"threshold": 0.2, "prompt_rule": "robust", "prompt_count": 3, "parent": f"m{number}"}
            version = registry.register(
                detector=folder / "detector", segmenter=folder / "segmenter", manifest=manifest
            )
            registry.note(version, "verdict", {"promoted": False, "verdict": {"confidence": 0.5}})
        costs[size] = Cost.median([Cost.of(lambda: _list(registry)) for _ in range(ROUNDS)])
    engine.dispose()
    return costs


def _list(registry: ModelRegistry) -> None:
    for version in registry.versions():
        registry.manifest(version)
        registry.notes(version)


def _medians(candidates: Mapping[int, Callable[[], object]]) -> Costs:
    """Median costs of the candidates, run in turns so that load on the machine affects all alike."""
    costs: dict[int, list[Cost]] = {size: [] for size in candidates}
    candidates[max(candidates)]()  # warm-up
    for _ in range(ROUNDS):
        for size, call in candidates.items():
            costs[size].append(Cost.of(call))
    return {size: Cost.median(each) for size, each in costs.items()}


def _store_events(store: AnnotationStore, bodies: Sequence[bytes]) -> None:
    """Append events to the store, from all senders at once."""

    def keep(body: bytes) -> None:
        store.append(body, action="ANNOTATION_CREATED", received_at=datetime.now(UTC))

    send_at_once(keep, [bodies[first::SENDERS] for first in range(SENDERS)])


def _event(number: int, regions: Sequence[Mapping[str, Any]]) -> bytes:
    """An event as Label Studio sends it: the first annotation of a new task; four images per patient."""
    image = hashlib.sha256(str(number).encode()).hexdigest()
    data = {"mammogram": f"{number}.dcm", "sha256": image, "patient": f"p{number // 4}"}
    annotation = {
        "id": number + 1,
        "task": number + 1,
        "result": regions,
        "was_cancelled": False,
        "updated_at": (START + timedelta(seconds=number)).isoformat(),
        "completed_by": 7,
        "lead_time": 60.0,
        "prediction": {},
    }
    return orjson.dumps(
        {
            "action": "ANNOTATION_CREATED",
            "project": {"id": 1},
            "task": {"id": number + 1, "data": data},
            "annotation": annotation,
        }
    )
