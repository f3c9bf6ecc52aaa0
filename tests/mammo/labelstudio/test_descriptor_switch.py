"""A project begins to ask for descriptors, and nothing that its annotations use is lost."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest
from label_studio_sdk.label_interface import LabelInterface

from mammo.bi_rads import MORPHOLOGIES
from mammo.labelstudio.config_review import review_config
from mammo.labelstudio.descriptor_controls import KEYS
from mammo.labelstudio.descriptor_switch import descriptor_names, with_descriptors, without_descriptors
from mammo.labelstudio.exam_config import NO_KEY, exam_config
from mammo.labelstudio.image_config import image_config
from mammo.labelstudio.labeling_config import ControlTags

OWN = """<View><!-- ours -->
  <Image name="cc" value="$cc"/><Image name="mlo" value="$mlo"/>
  <PolygonLabels name="a" toName="cc"><Label value="MC" hotkey="g"/><Label value="Mass" hotkey="h"/></PolygonLabels>
  <RectangleLabels name="b" toName="mlo"><Label value="MC" hotkey="1"/></RectangleLabels>
  <Choices name="morphology-cc" toName="cc" perRegion="true"><Choice value="typically benign"/></Choices>
  <Choices name="density" toName="cc"><Choice value="dense"/></Choices>
</View>"""

OLDER = re.sub(
    r'<Choices name="(?:suspicion|comment).*?</Choices>|<TextArea name="comment.*?/>|<Choice value="(?:skin|rim)".*?/>',
    "",
    exam_config(),
)
"""As an earlier release made it: without suspicion and comment, and with fewer words."""


@pytest.mark.parametrize("build", [exam_config, image_config])
def test_a_built_in_config_becomes_the_built_in_one(build: object) -> None:
    assert callable(build)
    assert with_descriptors(build(descriptors=False)) == build(descriptors=True)
    assert with_descriptors(build(descriptors=True)) == build(descriptors=True)
    assert without_descriptors(build(descriptors=True)) == build(descriptors=False)


def test_one_of_an_earlier_release_gets_words_and_keys_of_this_one() -> None:
    assert "suspicion" not in OLDER.replace("Suspicion", "")
    assert with_descriptors(OLDER) == exam_config()


def test_in_any_other_config_what_is_missing_is_added_and_what_exists_stays() -> None:
    config = with_descriptors(OWN)
    LabelInterface(config).validate()
    assert review_config(config).problems == ()
    before, after = (ElementTree.fromstring(each) for each in (OWN, config))
    for tag in before.iter():
        if name := tag.get("name"):
            (kept,) = [each for each in after.iter() if each.get("name") == name]
            assert kept.attrib == tag.attrib
            assert {each.get("value") for each in tag} <= {each.get("value") for each in kept}
    assert "<!-- ours -->" in config
    tags = ControlTags.read(config)
    (mlo,) = tags.siblings
    assert (tags.morphology, tags.suspicion, tags.comment) == ("morphology-cc", "suspicion-cc", "comment-cc")
    assert (mlo.morphology, mlo.suspicion, mlo.comment) == ("morphology-mlo", "suspicion-mlo", "comment-mlo")
    assert (tags.density, tags.assessment) == (None, "assessment"), (
        "a density with other words is somebody else's"
    )
    words = {each.get("value") for tag in after.iter() if tag.get("name") == "morphology-cc" for each in tag}
    assert words == set(MORPHOLOGIES)
    keys = {each.get("value"): each.get("hotkey") for tag in after.iter("Choices") for each in tag}
    assert keys["grouped"] == NO_KEY, "G is the key of a label"
    assert keys["linear"] == KEYS["distribution"]["linear"]
    assert with_descriptors(config) == config


def test_switched_off_again_only_descriptors_are_gone() -> None:
    bare = without_descriptors(with_descriptors(OWN))
    assert descriptor_names(ControlTags.read(bare)) == set()
    names = {tag.get("name") for tag in ElementTree.fromstring(bare).iter() if tag.get("name")}
    assert names == {"cc", "mlo", "a", "b", "density"}


def test_an_exam_control_gets_the_words_that_it_lacks() -> None:
    fewer = OWN.replace('<Choice value="dense"/>', '<Choice value="a"/><Choice value="b"/>')
    root = ElementTree.fromstring(with_descriptors(fewer))
    (density,) = [tag for tag in root.iter() if tag.get("name") == "density"]
    assert [each.get("value") for each in density] == ["a", "b", "c", "d"]


def test_what_somebody_put_among_our_descriptors_stays() -> None:
    own = '<Choices name="quality" toName="cc"><Choice value="blurred"/></Choices>'
    config = with_descriptors(OWN).replace(
        '<View className="descriptors">', f'<View className="descriptors">{own}'
    )
    assert own in config
    assert 'name="quality"' in without_descriptors(config)
