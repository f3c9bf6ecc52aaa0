"""An annotation of an exam, as the browser sends it: an item of each view, with the words of its own findings."""

from __future__ import annotations

import json
from typing import Any

import pytest

from cli.dataset_versions import _labelled
from mammo.annotations import AnnotationStore
from mammo.blobs import Blobs
from mammo.exam_views import EXAM_VIEWS
from mammo.exchange.export.formats import write_coco
from mammo.labelstudio.exam_config import exam_config
from mammo.labelstudio.labeling_config import ControlTags
from mammo.labelstudio.rendering import truth_regions
from mammo.models import ModelRegistry
from mammo.trace import trace
from tests.mammo.labelstudio.test_descriptors import about, choice
from tests.training.detections import square
from tests.training.project import NOW, SIZE, mammogram, sha
from training.datasets.building import build_dataset_version
from training.datasets.sources import PREFERENCE, ReadOptions
from training.datasets.versions import open_dataset_version

TAGS = ControlTags.read(exam_config())
IMAGES = {each.image: each for each in (TAGS, *TAGS.siblings)}


def regions(view: str, *findings: Any) -> list[dict[str, Any]]:
    return truth_regions(findings, size=SIZE, tags=IMAGES[view], source="m1")


def corrected() -> list[dict[str, Any]]:
    """Two findings in LCC and one in RMLO; words about two of them; and all that Label Studio leaves beside them."""
    (first, second), (third,) = (
        regions("LCC", square(5, 5, name="a"), square(30, 20, name="b")),
        regions("RMLO", square(10, 8, name="c")),
    )
    ghost = first | {"from_name": "ask-LCC", "type": "keypointlabels"}
    ghost["value"] = {"points": first["value"]["points"], "keypointlabels": ["Cluster"]}
    return [
        first, about(first, "morphology-LCC", "amorphous"), about(first, "morphology-RMLO", "typically benign"),
        ghost, second, third, about(third, "distribution-RMLO", "segmental"),
        choice("density", "c"), choice("assessment", "4B"), choice("hanging", "MLO"), choice("look", "inverted"),
        {"type": "relation", "from_id": "LCC-a", "to_id": "RMLO-c", "direction": "bi", "labels": ["same lesion"]},
    ]  # fmt: skip


def task_data(missing: str = "") -> dict[str, Any]:
    data: dict[str, Any] = {"patient": "p1", "exam": "2026-11-30", "exam_title": "p1, 2026-11-30"}
    for number, view in enumerate(EXAM_VIEWS, start=1):
        data |= {view.key: "" if view.name == missing else f"/{number}.png", view.title_key: view.title}
        if view.name != missing:
            data |= {view.fact_key("mammogram"): f"{number}.dcm", view.fact_key("sha256"): sha(number)}
    return data


@pytest.fixture
def store(engine: Any) -> Any:
    store = AnnotationStore(engine)
    yield store
    store.close()


def send(
    store: AnnotationStore, result: list[dict[str, Any]], data: dict[str, Any], *, times: int = 2
) -> None:
    """The webhook arrives as often as the project has webhooks: connecting an ML backend makes one of its own."""
    annotation = {"id": 3, "task": 5, "result": result, "was_cancelled": False, "completed_by": 7}
    annotation |= {"updated_at": "2026-11-30T08:00:00.000000Z", "prediction": {"model_version": "m1"}}
    body = {"annotation": annotation, "task": {"id": 5, "data": data}, "project": {"id": 1}}
    for _ in range(times):
        store.append(json.dumps(body).encode(), action="ANNOTATION_CREATED", received_at=NOW)


def build(store: AnnotationStore, engine: Any, blobs: Blobs) -> Any:
    return build_dataset_version(
        store,
        engine,
        blobs,
        project=1,
        open_image=lambda data: mammogram(int(data["mammogram"].removesuffix(".dcm"))),
        options=ReadOptions(tags=TAGS, prefer=PREFERENCE, with_automatic=False),
    )


def test_every_view_has_an_item_with_the_words_of_its_findings_and_of_the_exam(
    store: AnnotationStore, engine: Any, tmp_path: Any
) -> None:
    send(store, corrected(), task_data())
    blobs = Blobs(tmp_path / "blobs")
    for dataset in (
        build(store, engine, blobs),
        open_dataset_version(build(store, engine, blobs).name, blobs=blobs),
    ):
        items = {item.image_key: item for item in dataset.items}
        assert list(items) == ["RCC", "LCC", "RMLO", "LMLO"]
        words = {key: [each.descriptors for each in item.truth] for key, item in items.items()}
        assert words == {
            "RCC": [],
            "LCC": [{"morphology": "amorphous"}, {}],
            "RMLO": [{"distribution": "segmental"}],
            "LMLO": [],
        }
        lesions = {key: [each.lesion for each in item.truth] for key, item in items.items()}
        assert lesions == {"RCC": [], "LCC": ["LCC-a", ""], "RMLO": ["LCC-a"], "LMLO": []}
        assert {(item.density, item.assessment) for item in items.values()} == {("c", "4B")}
        assert [item.drawn for item in items.values()] == [0, 2, 1, 0]
        assert dataset.num_unexplained == 0


def test_a_doubled_webhook_is_one_correction(store: AnnotationStore) -> None:
    send(store, corrected(), task_data(), times=2)
    (correction,) = store.corrections(1)
    assert correction.annotation_id == 3
    assert len(store.history(3)) == 1


def test_a_view_that_the_exam_lacks_has_no_item(store: AnnotationStore, engine: Any, tmp_path: Any) -> None:
    send(store, corrected(), task_data(missing="RCC"))
    dataset = build(store, engine, Blobs(tmp_path / "blobs"))
    assert [item.image_key for item in dataset.items] == ["LCC", "RMLO", "LMLO"]
    assert {(item.density, item.assessment) for item in dataset.items} == {("c", "4B")}, (
        "they name the first view"
    )


def test_the_words_are_in_the_export(store: AnnotationStore, engine: Any, tmp_path: Any) -> None:
    send(store, corrected(), task_data())
    dataset = build(store, engine, Blobs(tmp_path / "blobs"))
    assert write_coco(_labelled(dataset, "all"), tmp_path) == []
    document = json.loads((tmp_path / "coco.json").read_text())
    assert [each.get("attributes") for each in document["annotations"]] == [
        {"morphology": "amorphous", "lesion": "LCC-a"},
        None,
        {"distribution": "segmental", "lesion": "LCC-a"},
    ]
    assert {(each["density"], each["assessment"]) for each in document["images"]} == {("c", "4B")}


def test_the_trace_says_what_was_said_about_each_finding(
    store: AnnotationStore, engine: Any, tmp_path: Any
) -> None:
    store.record_prelabel(
        project=1,
        task=5,
        model_version="m1",
        regions=regions("LCC", square(5, 5, name="a")),
        score=0.9,
        images={each.name: sha(number) for number, each in enumerate(EXAM_VIEWS, start=1)},
        num_cut=0,
        shown=True,
    )
    send(store, corrected(), task_data())
    registry = ModelRegistry(engine, tmp_path / "blobs")
    traced = trace(3, store=store, engine=engine, registry=registry, secret=b"s", tags={1: TAGS}.__getitem__)
    (entry,) = traced.history
    assert {(each.image, each.finding, each.kind) for each in entry.changes or []} == {
        ("LCC", "LCC-a", "accepted"),
        ("LCC", "LCC-b", "added"),
        ("RMLO", "RMLO-c", "added"),
    }
    assert entry.descriptors == {
        "LCC-a": {"morphology": "amorphous", "lesion": "LCC-a"},
        "RMLO-c": {"distribution": "segmental", "lesion": "LCC-a"},
    }
    assert entry.exam == {"density": "c", "assessment": "4B"}
    json.dumps(traced.to_json(), default=str)


def test_what_a_person_wrote_is_told_only_if_asked_and_is_in_no_dataset_version(
    store: AnnotationStore, engine: Any, tmp_path: Any
) -> None:
    first, *others = corrected()
    written = first | {"from_name": "comment-LCC", "type": "textarea", "value": {"text": ["as Mrs Doe told"]}}
    said = about(first, "suspicion-LCC", "4C")
    send(store, [first, *others, written, said], task_data())
    blobs = Blobs(tmp_path / "blobs")
    items = {item.image_key: item for item in build(store, engine, blobs).items}
    assert items["LCC"].truth[0].descriptors == {"morphology": "amorphous", "suspicion": "4C"}
    assert "Doe" not in str([item.to_json(blobs) for item in items.values()])
    registry = ModelRegistry(engine, tmp_path / "blobs")
    for comments, told in ((False, None), (True, "as Mrs Doe told")):
        traced = trace(
            3,
            store=store,
            engine=engine,
            registry=registry,
            secret=b"s",
            tags={1: TAGS}.__getitem__,
            comments=comments,
        )
        assert traced.history[0].comments == {"LCC-a": told}
        assert ("Doe" in str(traced.to_json())) == comments
        assert "Doe" not in repr(traced)
