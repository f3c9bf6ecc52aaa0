"""In a project that is on, the words that a head is sure of stand beside its outlines, marked as the model's."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import orjson
import pytest

from mammo.annotations import AnnotationStore
from mammo.efforts.edit_effort import WordCounts, edit_effort
from mammo.findings import Finding, ImageFindings
from mammo.labelstudio import from_regions, labeling_config
from mammo.labelstudio.exam_config import exam_config
from mammo.labelstudio.image_config import image_config
from mammo.labelstudio.labeling_config import ControlTags
from mammo.labelstudio.prediction_check import validation_errors
from mammo.prelabelling import TaskPrelabeller
from mammo.settings import Settings
from mammo.words.head import WordHead
from tests.mammo.words.heads import content
from tests.mammo.words.test_features import CLOUD, finding, mammogram

EXAM = {"rcc": "/RCC.png", "lcc": "", "rmlo": "", "lmlo": ""}
SCREENS = {"image": (image_config(descriptors=True), {"image": "/a.png"}), "exam": (exam_config(), EXAM)}


class TwoFindings:
    """A model that finds a long cluster, a round one, and one that is neither."""

    version = "m0001-aa"

    def prelabel(self, image: Any, *, threshold: float | None) -> ImageFindings:
        shapes = {"long": finding(80, 10), "round": finding(30, 30), "between": finding(25, 15)}
        named = [Finding(**{**vars(each), "id": name}) for name, each in shapes.items()]
        return ImageFindings(findings=tuple(named), num_cut=0)


def head() -> WordHead:
    encoded = orjson.dumps(content())
    return WordHead.read(encoded, name=hashlib.sha256(encoded).hexdigest())


def prelabeller(config: str, store: AnnotationStore, *, words: WordHead | None = None) -> TaskPrelabeller:
    def open_image(_data: Mapping[str, Any]) -> Any:
        return mammogram(*CLOUD)

    return TaskPrelabeller.of(
        TwoFindings(),
        project=3,
        config=config,
        settings=Settings(),
        open_image=open_image,
        store=store,
        words=words,
    )


@pytest.mark.parametrize("screen", SCREENS)
def test_sure_words_are_rendered_beside_the_outline_and_marked(screen: str, store: AnnotationStore) -> None:
    config, data = SCREENS[screen]
    tasks = prelabeller(config, store, words=head())
    made = tasks.predict(7, data)
    result = made.prediction["result"]
    assert validation_errors(made.prediction, config=config) == []
    (tags,) = ControlTags.read(config).on(data)
    assert [each.descriptors for each in from_regions(result, tags=tags)] == [
        {"distribution": "linear"},
        {"distribution": "grouped"},
        {},
    ]
    outlines = [each for each in result if each["type"] == "polygonlabels"]
    assert [each["meta"].get("words", {}).get("head") for each in outlines] == [
        head().name,
        head().name,
        None,
    ]
    assert outlines[0]["meta"]["words"]["distribution"] > 0.99
    assert outlines[0]["meta"]["text"] == ["words proposed by the model: linear (1.00)"]
    assert "text" not in outlines[2]["meta"]
    tasks.record(7, made, project=3, shown=True)
    recorded = tasks.recorded(7, data, project=3)
    assert recorded is not None
    assert recorded.regions == result


@pytest.mark.parametrize("screen", SCREENS)
def test_without_a_head_a_prelabel_is_the_same_to_the_byte(screen: str, store: AnnotationStore) -> None:
    config, data = SCREENS[screen]
    without = prelabeller(config, store).predict(7, data)
    silent = WordHead(name="ab" * 32, descriptors=())
    assert orjson.dumps(prelabeller(config, store, words=silent).predict(7, data).prediction) == orjson.dumps(
        without.prediction
    )
    assert "words" not in orjson.dumps(without.prediction).decode()


def test_words_that_the_project_does_not_offer_are_not_proposed(store: AnnotationStore) -> None:
    made = prelabeller(labeling_config(), store, words=head()).predict(7, {"image": "/a.png"})
    assert {each["type"] for each in made.prediction["result"]} == {"polygonlabels"}
    config, data = image_config(descriptors=True), {"image": "/a.png"}
    start = config.index('<Choice value="linear"')
    fewer = config[:start] + config[config.index("/>", start) + 2 :]
    made = prelabeller(fewer, store, words=head()).predict(7, data)
    assert validation_errors(made.prediction, config=fewer) == []
    (tags,) = ControlTags.read(fewer).on(data)
    found = from_regions(made.prediction["result"], tags=tags)
    assert [each.distribution for each in found] == [None, "grouped", None]


def test_a_proposed_word_that_is_kept_changed_or_taken_away_is_counted_like_an_outline(
    store: AnnotationStore,
) -> None:
    config, data = SCREENS["image"]
    (tags,) = ControlTags.read(config).on(data)
    result = prelabeller(config, store, words=head()).predict(7, data).prediction["result"]
    prelabel = from_regions(result, tags=tags)

    def counted(changed: list[dict[str, Any]]) -> dict[str, WordCounts]:
        return dict(edit_effort(prelabel, from_regions(changed, tags=tags)).words)

    assert counted(result) == {"distribution": WordCounts(accepted=2)}
    other = [
        each | {"value": each["value"] | {"choices": ["segmental"]}}
        if each["value"].get("choices") == ["linear"]
        else each
        for each in result
    ]
    assert counted(other) == {"distribution": WordCounts(changed=1, accepted=1)}
    less = [each for each in result if each["value"].get("choices") != ["grouped"]]
    assert counted(less) == {"distribution": WordCounts(removed=1, accepted=1)}
