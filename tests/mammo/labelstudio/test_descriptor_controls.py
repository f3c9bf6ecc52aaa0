"""Every word has a key, no key says two things, and none is taken from Label Studio."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from mammo.exam_views import EXAM_VIEWS
from mammo.labelstudio.config_controls import OF_EXAMS, OF_FINDINGS
from mammo.labelstudio.descriptor_controls import EDITOR_KEYS, KEYS, OFFERED
from mammo.labelstudio.exam_config import NO_KEY, exam_config
from mammo.labelstudio.hotkeys import ACTIONS
from mammo.labelstudio.image_config import image_config

CONFIGS = pytest.mark.parametrize(
    "config", [build(descriptors=on) for build in (exam_config, image_config) for on in (True, False)]
)


@CONFIGS
def test_all_keys_of_a_config_are_different(config: str) -> None:
    """Controls of the views of an exam count as one: their keys are the same on purpose."""
    meanings: dict[str, set[str]] = {}
    for control in ElementTree.fromstring(config).iter():
        name = str(control.get("name"))
        for view in EXAM_VIEWS:
            name = name.removesuffix(f"-{view.name}")
        for child in control:
            if (key := child.get("hotkey")) and key != NO_KEY:
                meanings.setdefault(key.lower(), set()).add(f"{name}: {child.get('value')}")
    assert len(meanings) > 5
    assert {key: each for key, each in meanings.items() if len(each) > 1} == {}
    assert EDITOR_KEYS & set(meanings) <= {"u"}, "U unselects, and raises the contrast"
    assert {key for _, key in ACTIONS.values()}.isdisjoint(meanings)


def test_every_word_of_bi_rads_is_offered_and_has_a_key() -> None:
    words = OF_FINDINGS | OF_EXAMS
    assert {name: set(each) for name, each in OFFERED.items()} == {
        name: set(each) for name, each in words.items()
    }
    assert {name: set(each) for name, each in KEYS.items()} == {
        name: set(each) for name, each in words.items()
    }
