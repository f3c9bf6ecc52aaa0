"""The whole way: corrections with words, a head, switched on, a prelabel with words, an annotation that keeps them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from sqlalchemy.engine import Engine

from mammo.annotations import AnnotationStore
from mammo.annotations.automatic import AutomaticAnnotation, record_automatic
from mammo.efforts.edit_effort import WordCounts
from mammo.errors import InsufficientData
from mammo.findings import Finding, ImageFindings
from mammo.labelstudio import from_regions
from mammo.labelstudio.image_config import image_config
from mammo.labelstudio.labeling_config import ControlTags
from mammo.labelstudio.rendering import to_regions, truth_regions
from mammo.prelabelling import TaskPrelabeller
from mammo.settings import Settings
from mammo.site import Site
from tests.mammo.models.versions import register
from tests.mammo.words.test_features import CLOUD, finding, mammogram
from tests.sites import site_of
from tests.training.project import NOW, sha
from training.cases import silent
from training.datasets.building import build_dataset_version
from training.datasets.sources import PREFERENCE, ReadOptions
from training.words.fitting import fit_words
from training.words.rule import WordRule

CONFIG = image_config(descriptors=True)
TAGS = ControlTags.read(CONFIG).outlined()
SMALL = WordRule(min_findings=20, min_patients=20, bar=0.7)
PATIENTS = 40
IMAGE = mammogram(*CLOUD)
SIZE = IMAGE.size
ACCOUNT = 99


def outlined(task: int) -> tuple[Finding, Finding]:
    """What the model finds in a task: a long cluster and a round one."""
    rng = np.random.default_rng(task)
    length, side = (int(rng.integers(*limits)) for limits in ((60, 90), (20, 36)))
    long, round_ = finding(length, 9, at=(60, 20)), finding(side, side)
    return replace(long, id="c1", score=0.6), replace(round_, id="c2", score=0.6)


def described(task: int) -> list[dict[str, Any]]:
    """The annotation of a person, who keeps the outlines and says a word about each."""
    words = zip(outlined(task), ("linear", "grouped"), strict=True)
    findings = [replace(each, distribution=word) for each, word in words]
    return truth_regions(findings, size=SIZE, tags=TAGS, source="m1")


def open_image(data: Mapping[str, Any]) -> Any:
    return replace(IMAGE, sha256=data["sha256"])


class Corrections:
    """Project 1, and what its readers do."""

    def __init__(self, store: AnnotationStore, engine: Engine, tmp_path: Path) -> None:
        self.site: Site = site_of(
            Settings(data_dir=tmp_path / "data", patient_secret="the tests"),  # type: ignore[arg-type]
            engine=engine,
            store=store,
            tags=lambda _project: TAGS,
            images=SimpleNamespace(open=open_image),
            label_studio=None,
        )
        self.version = register(self.site.registry, tmp_path, "m1")

    def show(self, task: int, regions: list[dict[str, Any]]) -> None:
        self.site.store.record_prelabel(
            project=1,
            task=task,
            model_version=self.version,
            regions=regions,
            score=0.6,
            images={"": sha(task)},
            num_cut=0,
            shown=True,
        )

    def annotate(self, task: int, result: list[dict[str, Any]], *, user: int = 7) -> None:
        annotation = {
            "id": task,
            "task": task,
            "result": result,
            "was_cancelled": False,
            "completed_by": user,
        }
        annotation |= {"updated_at": f"2026-12-01T08:00:00.{task:06}Z"}
        annotation |= {"prediction": {"model_version": self.version}}
        data = {"image": f"/{task}.png", "sha256": sha(task), "patient": f"p{task:03}"}
        body = {"annotation": annotation, "task": {"id": task, "data": data}, "project": {"id": 1}}
        self.site.store.append(json.dumps(body).encode(), action="ANNOTATION_CREATED", received_at=NOW)

    def build(self, *, with_automatic: bool = False) -> None:
        site, rules = self.site, ReadOptions(tags=TAGS, prefer=PREFERENCE, with_automatic=with_automatic)
        build_dataset_version(
            site.store, site.engine, site.blobs, project=1, open_image=open_image, options=rules
        )

    def fit(self, rule: WordRule = SMALL) -> dict[str, Any]:
        return fit_words(1, site=self.site, rule=rule, progress=silent)


@pytest.fixture
def corrections(store: AnnotationStore, engine: Engine, tmp_path: Path) -> Corrections:
    return Corrections(store, engine, tmp_path)


def test_from_corrections_to_a_word_that_was_proposed_and_accepted(corrections: Corrections) -> None:
    site = corrections.site
    for task in range(1, PATIENTS + 1):
        corrections.show(task, to_regions(outlined(task), size=SIZE, tags=TAGS, model_version="m1"))
        corrections.annotate(task, described(task))
    corrections.build()
    strict = site.word_heads.keep(corrections.fit(WordRule()))
    with pytest.raises(InsufficientData, match="10 more findings of 'linear'"):
        site.word_heads.turn_on(1, reason="now", actor="lena")
    assert site.word_head(1) is None
    kept = site.word_heads.keep(corrections.fit())
    assert kept.name != strict.name
    distribution = kept.content["descriptors"]["distribution"]
    assert distribution["held_out"]["confusion"] == [[16, 0], [0, 16]]
    assert kept.content["left_out"] == {}
    assert set(site.word_heads.turn_on(1, reason="measured", actor="lena").proposes) == {"grouped", "linear"}

    new = PATIENTS + 1
    model = SimpleNamespace(
        version=corrections.version,
        prelabel=lambda *_, **__: ImageFindings(findings=outlined(new), num_cut=0),
    )
    tasks = TaskPrelabeller.of(
        model,
        project=1,
        config=CONFIG,
        settings=Settings(),
        open_image=open_image,
        store=site.store,
        words=site.word_head(1),
    )
    made = tasks.predict(new, {"image": "/new.png", "sha256": sha(new)})
    found = from_regions(made.prediction["result"], tags=TAGS)
    assert [each.distribution for each in found] == ["linear", "grouped"]
    tasks.record(new, made, project=1, shown=True)
    corrections.annotate(new, json.loads(json.dumps(made.prediction["result"])))
    (record,) = [each for each in site.efforts(1).records if each.task == new]
    assert dict(record.effort.words) == {"distribution": WordCounts(accepted=2)}
    assert record.effort.untouched


def test_words_of_an_annotation_that_no_person_has_looked_at_are_no_examples(
    corrections: Corrections,
) -> None:
    result = described(1)
    corrections.show(1, to_regions(outlined(1), size=SIZE, tags=TAGS, model_version="m1"))
    submission = AutomaticAnnotation(
        project=1, task=1, model_version=corrections.version, account=ACCOUNT, score=0.9, threshold=0.9
    )
    record_automatic(corrections.site.engine, submission, result)
    corrections.annotate(1, result, user=ACCOUNT)
    corrections.build(with_automatic=True)
    fitted = corrections.fit()
    assert fitted["left_out"] == {"no person has looked at the annotation": 2}
    assert fitted["descriptors"]["distribution"]["words"] == []


def test_a_finding_that_a_person_drew_and_one_that_nobody_predicted_are_no_examples(
    corrections: Corrections,
) -> None:
    corrections.show(1, to_regions(outlined(1)[:1], size=SIZE, tags=TAGS, model_version="m1"))
    corrections.annotate(1, described(1))
    corrections.annotate(2, described(2))
    corrections.build()
    fitted = corrections.fit()
    assert fitted["left_out"] == {
        "the model has not outlined it": 1,
        "no model that did not learn from the patient has predicted it": 2,
    }
    assert [(row["word"], row["findings"]) for row in fitted["descriptors"]["distribution"]["words"]] == [
        ("linear", 1)
    ]


def test_words_that_a_model_proposed_first_are_counted(corrections: Corrections) -> None:
    long, round_ = outlined(1)
    proposed = [replace(long, distribution="linear"), round_]
    corrections.show(1, to_regions(proposed, size=SIZE, tags=TAGS, model_version="m1"))
    corrections.annotate(1, described(1))
    corrections.build()
    distribution = corrections.fit()["descriptors"]["distribution"]
    assert (sum(row["findings"] for row in distribution["words"]), distribution["proposed_before"]) == (2, 1)
