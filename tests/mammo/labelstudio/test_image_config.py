"""The labeling config of one image, with and without descriptors."""

from __future__ import annotations

import pytest
from label_studio_sdk.label_interface import LabelInterface

from mammo.labelstudio.config_review import review_config
from mammo.labelstudio.image_config import image_config
from mammo.labelstudio.labeling_config import ControlTags, labeling_config


@pytest.mark.parametrize("descriptors", [True, False])
def test_the_config_is_valid_for_label_studio_and_leaves_nothing_to_advise(descriptors: bool) -> None:
    config = image_config(descriptors=descriptors)
    LabelInterface(config).validate()
    review = review_config(config)
    assert (review.problems, review.advice) == ((), ())


def test_descriptors_change_nothing_else_and_are_those_of_the_image() -> None:
    with_words, bare = (vars(ControlTags.read(image_config(descriptors=each))) for each in (True, False))
    names = ("morphology", "distribution", "suspicion", "comment", "density", "assessment")
    assert with_words == bare | {name: name for name in names}
    assert labeling_config() == image_config(descriptors=False)
