"""Our labeling config says what it should to Label Studio, and we find our way in other people's."""

from __future__ import annotations

import pytest
from label_studio_sdk.label_interface import LabelInterface

from mammo.errors import InvalidRegion
from mammo.labelstudio.labeling_config import ControlTags, labeling_config

THEIRS = """<View>
  <Image name="scan" value="$image"/>
  <BrushLabels name="paint" toName="scan"><Label value="Mass"/><Label value="cluster"/></BrushLabels>
  <RectangleLabels name="mass" toName="scan"><Label value="Mass"/></RectangleLabels>
  <KeyPointLabels name="ask" toName="scan" smart="true" smartOnly="true"><Label value="cluster"/></KeyPointLabels>
  <Choices name="density" toName="scan"><Choice value="A"/></Choices>
</View>"""


def test_our_config_is_valid_for_label_studio() -> None:
    LabelInterface(labeling_config()).validate()


def test_our_config_reads_back_as_the_default_control_tags() -> None:
    assert ControlTags.read(labeling_config()) == ControlTags()


def test_controls_of_another_project_are_found_by_their_label_under_any_name() -> None:
    assert ControlTags.read(THEIRS) == ControlTags(
        image="scan", brush="paint", rectangle=None, polygon=None, keypoint=None,
        label="cluster", prompts=frozenset({"ask"}), note=None, other_labels=(("paint", "mass"), ("mass", "mass")),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("area", "note"),
    [
        ('<TextArea name="model-note" toName="scan"/>', "model-note"),
        ('<TextArea name="model-note" toName="scan" perRegion="true"/>', None),
        ('<TextArea name="comment" toName="scan"><Label value="cluster"/></TextArea>', None),
    ],
)
def test_only_the_text_area_of_that_name_is_the_models_to_write_in(area: str, note: str | None) -> None:
    assert ControlTags.read(THEIRS.replace("</View>", f"{area}</View>")).note == note


@pytest.mark.parametrize(
    "config",
    [
        "",
        "<View",
        "<View><Image name='image' value='$image'/></View>",
        "<View><BrushLabels name='b' toName='image'><Label value='Cluster'/></BrushLabels></View>",
        "<!DOCTYPE x [<!ENTITY a 'b'>]>" + labeling_config(),
        "<View>" + " " * 300_000 + "</View>",
    ],
)
def test_a_config_without_a_place_for_clusters_is_refused_by_name(config: str) -> None:
    with pytest.raises(InvalidRegion, match="labeling config") as error:
        ControlTags.read(config)
    assert error.value.code == "labeling_config"


def test_regions_fit_only_the_project_whose_controls_and_labels_they_name() -> None:
    tags = ControlTags.read(THEIRS)
    value = {"brushlabels": [tags.label_of("paint")]}
    region = {"from_name": "paint", "to_name": "scan", "type": "brushlabels", "value": value}
    assert tags.fit([region])
    assert not ControlTags().fit([region])
    assert not tags.fit([region | {"value": {"brushlabels": ["what it was called before"]}}])


MANY_NAMES = """<View>
  <Image name="scan" value="$image"/>
  <BrushLabels name="paint" toName="scan"><Label value="Mass"/><Label value="Micro-Calcifications"/></BrushLabels>
  <RectangleLabels name="frame" toName="scan">
    <Label value="MC"/><Label value="Group" predicted_values="mass, cluster"/>
  </RectangleLabels>
  <PolygonLabels name="line" toName="scan"><Label value="cluster"/><Label value="MC"/></PolygonLabels>
  <RectangleLabels name="mass" toName="scan"><Label value="MC"/></RectangleLabels>
  <KeyPointLabels name="ask" toName="scan" smart="true" smartonly="True"><Label value="Lesion"/></KeyPointLabels>
  <Choices name="finding" toName="scan"><Choice value="MCC"/><Choice value="No findings"/></Choices>
</View>""".replace("Micro-Calcifications", "Microcalcification_cluster")


def test_each_control_keeps_its_own_spelling_of_the_cluster_label() -> None:
    tags = ControlTags.read(MANY_NAMES)
    assert (tags.brush, tags.rectangle, tags.polygon, tags.keypoint) == ("paint", "frame", "line", None)
    spelled = {name: tags.label_of(name) for name in ("paint", "frame", "line")}
    assert spelled == {"paint": "Microcalcification_cluster", "frame": "Group", "line": "cluster"}
    assert (tags.choices, tags.choice_found, tags.choice_nothing) == ("finding", "MCC", "No findings")
    assert tags.prompts == {"ask"}


@pytest.mark.parametrize(
    ("control", "label", "is_one"),
    [("frame", "Group", True), ("frame", "group", True), ("frame", "MC", False), ("mass", "MC", True),
     ("line", "MC", False), ("paint", "Mass", False)],
)  # fmt: skip
def test_a_region_is_a_cluster_by_its_own_controls_label(control: str, label: str, is_one: bool) -> None:
    region = {
        "type": "rectanglelabels",
        "from_name": control,
        "value": {"rectanglelabels": [label]},
    }
    assert ControlTags.read(MANY_NAMES).is_cluster(region) is is_one


def test_density_choices_are_nobodys_finding() -> None:
    assert ControlTags.read(THEIRS).choices is None
