from __future__ import annotations

from typing import Any

import pytest

from mammo.errors import InvalidRegion
from mammo.exam_views import EXAM_VIEWS, ExamView
from mammo.exchange.conversion.merging import NotMergeable, merged_annotations, merged_predictions
from mammo.exchange.conversion.translation import Translation
from mammo.labelstudio import ControlTags, labeling_config
from mammo.labelstudio.exam_config import exam_config
from mammo.labelstudio.rendering import note_regions, to_regions
from tests.mammo.exchange.conversion.test_translation import MORE, SIZE, choice, config, square, translation

TRANSLATION = Translation(labeling_config(), exam_config())


def regions(x: int = 8) -> list[dict[str, Any]]:
    return to_regions([square(x, 8, score=0.5)], size=SIZE, tags=ControlTags(), model_version="m1")


def annotation(author: int = 1, result: Any = (), **more: Any) -> dict[str, Any]:
    return {
        "id": 1,
        "completed_by": author,
        "result": list(result),
        "was_cancelled": False,
        "ground_truth": False,
    } | more


def tasks(*annotations: list[dict[str, Any]], predictions: Any = ()) -> dict[ExamView, dict[str, Any]]:
    """A task of each view, numbered from 1, with annotations."""
    return {
        view: {"id": number, "annotations": each, "predictions": list(predictions)}
        for number, (view, each) in enumerate(zip(EXAM_VIEWS, annotations, strict=False), start=1)
    }


def test_annotations_of_one_reader_become_one_with_the_time_of_all() -> None:
    views = tasks(
        [annotation(result=regions(), lead_time=3.0)],
        [annotation(lead_time=2.5)],
        [annotation(result=regions(20), lead_time=1.0)],
        [annotation(lead_time=1.0)],
    )
    (merged,) = merged_annotations(views, TRANSLATION).annotations
    assert (merged["completed_by"], merged["lead_time"], merged["was_cancelled"]) == (1, 7.5, False)
    assert merged["ground_truth"] is False, "Label Studio's default for imported ones is True"
    assert [(each["id"], each["to_name"]) for each in merged["result"]] == [
        ("RCC-f-8-8", "RCC"),
        ("RMLO-f-20-8", "RMLO"),
    ]


def test_every_reader_keeps_an_annotation_of_his_own() -> None:
    both = [annotation(2), annotation(1, regions())]
    merged = merged_annotations(tasks(both, both, both, both), TRANSLATION)
    assert [each["completed_by"] for each in merged.annotations] == [1, 2]
    assert [len(each["result"]) for each in merged.annotations] == [4, 0]
    assert merged.num_several_authors == 0


def test_images_of_different_people_become_one_annotation_without_an_author() -> None:
    views = tasks([annotation(1)], [annotation(2)], [annotation(1)], [annotation(1)])
    merged = merged_annotations(views, TRANSLATION)
    (only,) = merged.annotations
    assert "completed_by" not in only
    assert merged.num_several_authors == 1


@pytest.mark.parametrize(
    "annotations",
    [
        ([annotation()], [], [annotation()], [annotation()]),
        ([annotation(1), annotation(2)], [annotation(1)], [annotation(1)], [annotation(1)]),
        ([annotation(1), annotation(1)], *[[annotation(1), annotation(1)]] * 3),
    ],
)
def test_a_view_without_an_annotation_does_not_become_one_without_findings(annotations: Any) -> None:
    with pytest.raises(NotMergeable, match="task 1 has"):
        merged_annotations(tasks(*annotations), TRANSLATION)


@pytest.mark.parametrize("fact", ["was_cancelled", "ground_truth"])
def test_what_holds_for_some_views_only_is_refused(fact: str) -> None:
    views = tasks([annotation(**{fact: True})], *[[annotation()]] * 3)
    with pytest.raises(NotMergeable, match="1, 2, 3, 4"):
        merged_annotations(views, TRANSLATION)
    (merged,) = merged_annotations(tasks(*[[annotation(**{fact: True})]] * 4), TRANSLATION).annotations
    assert merged[fact] is True


def test_an_exam_that_nobody_has_read_has_no_annotation() -> None:
    assert merged_annotations(tasks([], [], [], []), TRANSLATION).annotations == ()


def test_what_is_said_of_the_exam_four_times_is_said_once_and_never_twice_differently() -> None:
    translate = translation("PolygonLabels", more=MORE)
    views = tasks(*[[annotation(result=[choice("density", "b")])]] * 4)
    (merged,) = merged_annotations(views, translate).annotations
    assert [each["value"] for each in merged["result"]] == [{"choices": ["b"]}]
    views[EXAM_VIEWS[1]]["annotations"] = [annotation(result=[choice("density", "a")])]
    with pytest.raises(NotMergeable, match="different values of 'density'"):
        merged_annotations(views, translate)


def test_a_region_that_cannot_be_moved_names_its_task() -> None:
    result = [choice("quality", "good")]
    views = tasks([annotation()], [annotation(result=result)], [annotation()], [annotation()])
    with pytest.raises(InvalidRegion, match="task 2: the new labeling config"):
        merged_annotations(views, Translation(config("PolygonLabels", more=MORE), exam_config()))


def prediction(number: int, version: str = "m1", **more: Any) -> dict[str, Any]:
    return {"id": number, "model_version": version, "score": number / 10, "result": regions()} | more


def test_the_newest_predictions_of_a_version_become_one_with_the_highest_score() -> None:
    found = merged_predictions(
        tasks([], [], [], [], predictions=[prediction(3), prediction(2, result=[])]), TRANSLATION
    )
    (merged,) = found
    assert (merged["model_version"], merged["score"], len(merged["result"])) == ("m1", 0.3, 4)


def test_a_prediction_that_is_not_of_all_views_stays_behind() -> None:
    views = tasks([], [], [], [], predictions=[prediction(1), prediction(2, "m2")])
    views[EXAM_VIEWS[2]]["predictions"] = [prediction(2, "m2")]
    assert [each["model_version"] for each in merged_predictions(views, TRANSLATION)] == ["m2"]
    note = note_regions("too_large", tags=ControlTags(), model_version="m2")
    views[EXAM_VIEWS[0]]["predictions"] = [prediction(2, "m2", result=note)]
    assert merged_predictions(views, TRANSLATION) == []
