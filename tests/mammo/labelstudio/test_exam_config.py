"""The labeling config of an exam: read as it is meant, and without what Label Studio 1.23 is known to break on."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest
from label_studio_sdk.label_interface import LabelInterface

from mammo.exam_views import EXAM_VIEWS, ExamView
from mammo.labelstudio.config_review import review_config
from mammo.labelstudio.descriptor_controls import EDITOR_KEYS
from mammo.labelstudio.descriptor_switch import descriptor_names
from mammo.labelstudio.exam_config import NO_KEY, exam_config
from mammo.labelstudio.labeling_config import ControlTags

# The numbered traps of Label Studio are those that were measured on it; 1, 4 and 9 are set in `test_descriptors.py`.

KEYS_OF_TOOLS = EDITOR_KEYS - {"u"}
"""Keys of Label Studio itself. U unselects a region there and raises the contrast here, which has been so for long."""

CONFIGS = pytest.mark.parametrize("config", [exam_config(), exam_config(descriptors=False)])


def images() -> dict[str, ControlTags]:
    tags = ControlTags.read(exam_config())
    return {each.image: each for each in (tags, *tags.siblings)}


@CONFIGS
def test_the_config_is_valid_for_label_studio_and_leaves_nothing_to_advise(config: str) -> None:
    LabelInterface(config).validate()
    review = review_config(config)
    assert (review.problems, review.advice) == ((), ())
    assert len(review.fills) == 4


@pytest.mark.parametrize("view", EXAM_VIEWS)
def test_each_view_has_one_outline_and_prompts_that_are_never_findings(view: ExamView) -> None:
    tags = images()[view.name]
    assert (tags.value, tags.polygon) == (view.key, f"outline-{view.name}")
    assert (tags.brush, tags.rectangle, tags.keypoint) == (None, None, None)
    assert tags.prompts == {f"ask-{view.name}", f"askbox-{view.name}"}
    assert tags.note == f"model-note-{view.name}"


def test_the_toggles_of_the_page_are_nobodys_choice() -> None:
    for tags in images().values():
        assert tags.choices is None
        assert {"hanging", "look"}.isdisjoint(str(value) for value in vars(tags).values())


def test_descriptors_of_a_finding_are_the_views_own_and_those_of_the_exam_are_shared() -> None:
    for name, tags in images().items():
        own = (tags.morphology, tags.distribution, tags.suspicion, tags.comment)
        assert own == tuple(
            f"{each}-{name}" for each in ("morphology", "distribution", "suspicion", "comment")
        )
        assert (tags.density, tags.assessment) == ("density", "assessment")
    bare = ControlTags.read(exam_config(descriptors=False))
    assert descriptor_names(bare) == set()


@CONFIGS
def test_no_key_is_taken_by_label_studio_itself_or_from_its_tools(config: str) -> None:
    """Label Studio gives a label or choice without a key the next free one, a digit first."""
    root = ElementTree.fromstring(config)
    keys = [(tag.get("value"), tag.get("hotkey")) for tag in root.iter() if tag.tag in ("Label", "Choice")]
    assert keys
    for value, key in keys:
        assert key, f"{value} has no key"
        assert key == NO_KEY or key not in KEYS_OF_TOOLS, f"{value} takes {key} from a tool"


@CONFIGS
def test_traps_2_and_3_one_key_asks_in_every_view_and_none_draws(config: str) -> None:
    """After drawing by hand, Label Studio ignores the keys of prompts in all views."""
    root = ElementTree.fromstring(config)
    keys: dict[str, set[str | None]] = {}
    for tag in root.iter():
        if tag.tag in ("KeyPointLabels", "RectangleLabels", "PolygonLabels"):
            keys.setdefault(tag.tag, set()).add(tag[0].get("hotkey"))
    assert keys == {"KeyPointLabels": {"1"}, "RectangleLabels": {"2"}, "PolygonLabels": {NO_KEY}}


@CONFIGS
def test_traps_6_to_8_the_style_survives_label_studio(config: str) -> None:
    style = ElementTree.fromstring(config).findtext("Style") or ""
    hidden = [rule.split("{")[0] for rule in style.split("}") if "none" in rule.replace("filter: none", "")]
    assert not any(".view" in rule for rule in hidden), (
        "trap 6: a hidden view with a relation breaks the editor"
    )
    assert not set(style) & set(">\"'"), (
        "trap 7: a rule with one of these is ignored, or the config is refused"
    )
    assert "transform" not in style, "trap 8: a scaled toolbar breaks its sliders"


def test_trap_5_the_descriptors_of_a_view_are_shown_for_its_outlines() -> None:
    root = ElementTree.fromstring(exam_config())
    shown = {tag.get("whenTagName") for tag in root.iter() if tag.get("visibleWhen") == "region-selected"}
    assert shown == {f"outline-{view.name}" for view in EXAM_VIEWS}


def test_names_are_unique() -> None:
    names = [tag.get("name") for tag in ElementTree.fromstring(exam_config()).iter() if tag.get("name")]
    assert len(names) == len(set(names))
