"""A year in the life of a small site, for the console: four model versions, five runs, weeks of corrections, phantoms.

Verdicts are the gate's own, on detections that are drawn by chance; pictures are those that a retrain keeps. Nothing is
trained.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any, cast

import httpx
import numpy as np
import orjson
import sqlalchemy as sa

from mammo.database import dataset_version, prelabel, promotion, run_event, writing
from mammo.database import model_version as model_table
from mammo.database import run as run_table
from mammo.detector import Detection
from mammo.dicom import Mammogram, encode_png
from mammo.findings import CLUSTER, Finding, ImageFindings
from mammo.geometry import Box, Size
from mammo.labelstudio.labeling_config import ControlTags
from mammo.labelstudio.rendering import to_regions
from mammo.masks import Mask
from mammo.models import STARTER
from mammo.phantom import phantom_view, vendor_b
from mammo.pipeline import Prelabeller
from mammo.runs import RunLedger, Runs, Trigger, claim
from mammo.runs.failures import ADVICE, Failure
from mammo.runs.records import FINDINGS, PICTURES
from mammo.site import Site
from mammo.verdicts.record import FORMAT, Model, VerdictRecord
from tests.fakes.label_studio import FakeLabelStudio
from tests.phantom_corrections import imported_phantoms
from tests.training.detections import square
from training.cases import Case, silent
from training.datasets.items import SCHEMA, Item
from training.evaluation.model_version import evaluate
from training.evaluation.seen_images import SeenImages, images_of
from training.gate.curves import curve_of
from training.gate.gate import GateRule, judge
from training.retrain.outcome import end_run
from training.retrain.pictures import draw

PROJECT, QUIET_PROJECT = 3, 5
SEEDS = range(9400, 9404)
"""Held-out phantom patients of every verdict."""

RULE = GateRule(min_patients=4, draws=200)
READERS = (1, 2, 7)
WEEKS, IMAGES_PER_WEEK = 9, 8
SIZE = Size(1200, 1500)
PICTURE = "/data/upload/3/1.png"
TAGS = ControlTags()
HOSTILE = "<script>document.title = 'run'</script><img src=x onerror=\"document.title = 'run'\"> {{7*7}}"
"""A reason that a browser would run if a page forgot to escape it."""


@dataclass(frozen=True)
class History:
    """What the site holds."""

    promoted: str
    """Run whose challenger serves."""

    kept: str
    """The last verdict of `PROJECT`: its challenger lost."""

    failed: str
    active: str
    champion: str
    loser: str


@dataclass
class ByChance:
    """A model that finds each lesion with some probability, and other places as often as it is told."""

    version: str
    cases: Sequence[Case]
    sees: float
    invents: float
    shrinks: int
    threshold: float = 0.3

    def detect(self, mammogram: Mammogram, *, threshold: float) -> list[Detection]:
        chance = np.random.default_rng([int(mammogram.sha256[:8], 16), round(100 * self.sees)])
        case = next(each for each in self.cases if each.image == mammogram.sha256)
        found = [
            Detection(finding.box, float(chance.uniform(0.45, 0.95)))
            for finding in case.truth
            if chance.random() < self.sees
        ]
        if chance.random() < self.invents:
            x, y = (int(chance.integers(60, side - 120)) for side in (mammogram.size.width // 2, 800))
            found.append(Detection(Box(x, y, x + 50, y + 40), float(chance.uniform(0.35, 0.8))))
        return found

    def prelabel(
        self, mammogram: Mammogram, *, threshold: float | None, detections: Sequence[Detection]
    ) -> ImageFindings:
        findings = tuple(
            Finding(label=CLUSTER, score=each.score, box=each.box, mask=self._mask(each.box))
            for each in detections
        )
        return ImageFindings(findings=findings, num_cut=0)

    def _mask(self, box: Box) -> Mask:
        rows, columns = np.mgrid[: box.height, : box.width]
        middle = (box.height - 1) / 2, (box.width - 1) / 2
        inside = ((rows - middle[0]) / (box.height / 2)) ** 2 + ((columns - middle[1]) / (box.width / 2)) ** 2
        return Mask(inside <= 1 - self.shrinks / 100, box.x0, box.y0)


def fill(site: Site, label_studio: FakeLabelStudio, folder: Path, *, now: datetime, reason: str) -> History:
    """Write the history into a new site; it ends at `now`.

    Args:
        reason: of a run that was cancelled, and of its end.
    """
    registry, runs = site.registry, Runs(site.engine)
    drawn = imported_phantoms(folder / "mammograms", seeds=SEEDS, patient_secret=b"the console's test")
    cases = [replace(case, task=number, read=cache(case.read)) for number, (_, case) in enumerate(drawn, 1)]
    starter = registry.champion()
    models = {
        "starter": ByChance(starter.version, cases, sees=0.45, invents=0.5, shrinks=35),
        "first": ByChance("", cases, sees=0.75, invents=0.3, shrinks=15),
        "second": ByChance("", cases, sees=0.6, invents=0.45, shrinks=20),
    }
    first = retrain(site, models["starter"], models["first"], at=now - timedelta(days=24), patients=21)
    second = retrain(site, models["first"], models["second"], at=now - timedelta(days=6), patients=34)
    correct(site, label_studio, now=now, versions=(starter.version, models["first"].version))
    failed = request(
        runs, PROJECT, at=now - timedelta(days=12), trigger="schedule", reason="nightly schedule"
    )
    ledger = RunLedger(site.engine, claimed(runs, failed))
    ledger.enter("building")
    ledger.fail(Failure(kind="disk_full", sentence=ADVICE["disk_full"]))
    dated(site, failed, now - timedelta(days=12), minutes=4)
    quiet = request(runs, QUIET_PROJECT, at=now - timedelta(days=3), trigger="cli", reason=reason)
    runs.cancel(quiet, reason=reason, actor="anna")
    dated(site, quiet, now - timedelta(days=3), minutes=1)
    active = request(runs, PROJECT, at=now, trigger="corrections", reason="40 corrections of 9 patients")
    ledger = RunLedger(site.engine, claimed(runs, active))
    ledger.enter("building")
    ledger.enter("detector")
    ledger.beat("detector", 0.18, "epoch 3 of 12, loss 1.92")
    with writing(site.engine) as connection:
        moved = sa.update(promotion).where(promotion.c.version == starter.version)
        connection.execute(moved.values(at=now - timedelta(days=7 * WEEKS)))
        moved = sa.update(model_table).where(model_table.c.version == starter.version)
        connection.execute(moved.values(created_at=now - timedelta(days=7 * WEEKS)))
    return History(first, second, failed, active, models["first"].version, models["second"].version)


def retrain(site: Site, champion: ByChance, challenger: ByChance, *, at: datetime, patients: int) -> str:
    """Record a run of two models as a retrain would; returns its name."""
    runs, registry = Runs(site.engine), site.registry
    name = request(runs, PROJECT, at=at, trigger="corrections", reason=f"corrections of {patients} patients")
    ledger = RunLedger(site.engine, claimed(runs, name))
    for state in ("building", "detector", "segmenter", "evaluating"):
        ledger.enter(cast(Any, state))
    dataset = freeze(site, challenger.cases, patients=patients, at=at)
    manifest = {key: value for key, value in registry.manifest(champion.version).items() if key in CARRIED}
    facts = {"parent": champion.version, "recipe": "finetune", "run": name, "dataset_version": dataset}
    challenger.version = registry.register(
        detector=STARTER / "detector.safetensors",
        segmenter=STARTER / "segmenter.safetensors",
        manifest=manifest | facts,
    )
    registry.name_challenger(challenger.version, reason=f"run {name}")
    seen = SeenImages(), SeenImages()
    before, after = (
        evaluate(cast(Prelabeller, model), model.cases, progress=silent, observe=each)
        for model, each in zip((champion, challenger), seen, strict=True)
    )
    for role, evaluation, each in zip(("champion", "challenger"), (before, after), seen, strict=True):
        ledger.keep(role, {**evaluation.to_json(), FINDINGS: site.blobs.put(each.to_bytes())})
    verdict = judge(before, after, rule=RULE, newest=())
    ledger.keep("verdict", verdict.to_json())
    ledger.enter("judged")
    record = VerdictRecord(
        format=FORMAT,
        run=name,
        project=PROJECT,
        promote=verdict.promote,
        reason=verdict.reason,
        verdict=orjson.loads(orjson.dumps(verdict.to_json())),
        champion=Model(version=before.version, threshold=before.threshold, curve=curve_of(before)),
        challenger=Model(version=after.version, threshold=after.threshold, curve=curve_of(after)),
        images=images_of(*(each.to_bytes() for each in seen)),
        crops={},
        left_out=None,
    )
    if not verdict.promote:  # those of one run are enough to look at
        record = draw(record, challenger.cases, blobs=site.blobs, progress=silent)
    pictures = {"record": site.blobs.put(record.to_bytes()), "pictures": sorted(record.pictures)}
    summary = {
        "run": name, "project": PROJECT, "recipe": "finetune", "dataset_version": dataset,
        "champion": before.version, "challenger": after.version, "verdict": verdict.to_json(), PICTURES: pictures,
    }  # fmt: skip
    summary = end_run(summary, verdict, opponent=registry.champion(), ledger=ledger)
    noted = {key: summary[key] for key in ("run", "champion", "promoted", "reason", "verdict")}
    registry.note(after.version, "verdict", noted)
    dated(site, name, at, minutes=52)
    with writing(site.engine) as connection:
        ended = at + timedelta(minutes=52)
        for table, column in ((promotion, "at"), (model_table, "created_at")):
            moved = sa.update(table).where(table.c.version == after.version)
            connection.execute(moved.values({column: ended}))
    return name


CARRIED = ("threshold", "prompt_rule", "prompt_count", "presence_threshold", "licence")


def request(runs: Runs, project: int, *, at: datetime, trigger: Trigger, reason: str) -> str:
    name = f"retrain-{project}-{int(at.timestamp()):012x}"
    runs.request(project, recipe="finetune", reason=reason, trigger=trigger, run_id=name)
    return name


def claimed(runs: Runs, name: str) -> Any:
    found = claim(runs, name, owner="worker on gpu-1")
    assert found is not None
    return found


def dated(site: Site, name: str, at: datetime, *, minutes: float) -> None:
    """Move a run that has just ended to a time."""
    with writing(site.engine) as connection:
        times = {"created_at": at, "claimed_at": at, "ended_at": at + timedelta(minutes=minutes)}
        connection.execute(sa.update(run_table).where(run_table.c.id == name).values(times))
        numbers = list(
            connection.scalars(
                sa.select(run_event.c.id).where(run_event.c.run == name).order_by(run_event.c.id)
            )
        )
        for place, number in enumerate(numbers):
            moment = at + timedelta(minutes=minutes * place / max(len(numbers) - 1, 1))
            connection.execute(sa.update(run_event).where(run_event.c.id == number).values(at=moment))


def freeze(site: Site, held_out: Sequence[Case], *, patients: int, at: datetime) -> str:
    """Store the manifest of a dataset version: training patients by two readers, and those that are held out."""
    annotators = ("annotator-4f1c", "annotator-9b02", "annotator-c7d3")
    tested = list(dict.fromkeys(case.patient for case in held_out))
    keys = [(f"patient-{number}", "validation" if number % 6 == 0 else "train") for number in range(patients)]
    keys += [(patient, "test") for patient in tested]
    held_out_findings = {case.patient: len(case.truth) for case in held_out}
    items = [
        asdict(
            Item(
                task_id=10 * number + view, annotation_id=10 * number + view, updated_at=at.isoformat(),
                content_hash="", image=f"{10 * number + view:064x}", task_data={}, patient=patient,
                annotator=annotators[number % 3], view=("LCC", "LMLO", "RCC", "RMLO")[view], spacing_mm=0.094,
                size=(640, 896), fold=cast(Any, fold),
                findings=({"box": [10, 10, 60, 50], "mask": None},) * held_out_findings.get(patient, view % 2),
            )
        )
        for number, (patient, fold) in enumerate(keys)
        for view in range(4)
    ]  # fmt: skip
    content = {"schema": SCHEMA, "project": PROJECT, "items": items, "excluded": []}
    name = site.blobs.put(orjson.dumps(content))
    row = {"name": name, "project": PROJECT, "num_items": len(items), "num_excluded": 0, "last_event": 0}
    with writing(site.engine) as connection:
        connection.execute(sa.insert(dataset_version).values(**row, created_at=at))
    return name


def correct(site: Site, label_studio: FakeLabelStudio, *, now: datetime, versions: tuple[str, str]) -> None:
    """Weeks of corrections, whose prelabels get better."""
    chance = np.random.default_rng(7)
    content = picture()
    sha256 = hashlib.sha256(content).hexdigest()
    label_studio.before = lambda request: (
        httpx.Response(200, content=content) if request.url.path == PICTURE else None
    )
    prelabels = []
    for number in range(1, WEEKS * IMAGES_PER_WEEK + 1):
        week = (number - 1) // IMAGES_PER_WEEK
        at = now - timedelta(days=7 * (WEEKS - week) - number % 5, hours=number % 7)
        served = versions[week >= WEEKS - 4]
        shift = int(chance.random() < 0.75 - 0.06 * week) * 7
        task = {
            "id": number,
            "project": PROJECT,
            "data": {"image": PICTURE, "patient": f"{number // 4:016x}"},
        }
        annotation = {
            "id": 100 + number, "task": number, "project": PROJECT, "completed_by": READERS[number % 3],
            "was_cancelled": False, "lead_time": float(chance.integers(25, 120) - 5 * week),
            "created_at": at.isoformat(), "updated_at": at.isoformat(), "result": orjson.loads(regions(shift, served)),
        }  # fmt: skip
        body = {
            "action": "ANNOTATION_CREATED",
            "project": {"id": PROJECT},
            "task": task,
            "annotation": annotation,
        }
        site.store.append(orjson.dumps(body), action="ANNOTATION_CREATED", received_at=at)
        label_studio.tasks.append({**task, "updated_at": at.isoformat(), "annotations": [annotation]})
        prelabels.append(
            {"project": PROJECT, "task": number, "model_version": served, "regions": regions(0, served),
             "score": 0.7, "image_sha256": sha256, "created_at": at - timedelta(days=1),
             "shown_at": at - timedelta(hours=1)}
        )  # fmt: skip
        if number % 3 == 0:  # the other version predicted it silently
            other = versions[week < WEEKS - 4]
            shifted = regions(4 if number % 2 else 40, other)
            prelabels.append({**prelabels[-1], "model_version": other, "regions": shifted, "shown_at": None})
    waiting = range(1, 31)
    label_studio.add_tasks(PROJECT, *({"image": PICTURE} for _ in waiting))
    read = WEEKS * IMAGES_PER_WEEK
    label_studio.projects[PROJECT] |= {"task_number": read + len(waiting), "finished_task_number": read}
    with writing(site.engine) as connection:
        connection.execute(sa.insert(prelabel), prelabels)


def picture() -> bytes:
    """The image of every task, as PNG."""
    view = phantom_view(9400, appearance=vendor_b(), width=SIZE.width, height=SIZE.height, spacing_mm=0.15)
    levels = np.interp(view.stored, (0, view.stored.max()), (0, 255)).astype(np.uint8)
    return encode_png(levels)


@cache
def regions(shift: int, version: str) -> bytes:
    """Two clusters as regions, moved by some pixels."""
    findings = [square(x + shift, y, 60, score=0.8, name=f"c{x}") for x, y in ((100, 200), (500, 700))]
    return orjson.dumps(to_regions(findings, size=SIZE, tags=TAGS, model_version=version))
