"""A labeling config is reviewed before a project is connected: what is filled, what cannot work, what works badly."""

from __future__ import annotations

import pytest

from mammo.labelstudio.config_review import review_config
from mammo.labelstudio.labeling_config import labeling_config


def with_tags(*tags: str, image: str = '<Image name="i" value="$image"/>') -> str:
    return f"<View>{image}{''.join(tags)}</View>"


BRUSH = '<BrushLabels name="b" toName="i"><Label value="MC"/></BrushLabels>'
BOX = '<RectangleLabels name="r" toName="i"><Label value="MC"/></RectangleLabels>'
ASK = (
    '<KeyPointLabels name="ask" toName="i" smart="true" smartOnly="true">'
    '<Label value="MC" model_index="0"/></KeyPointLabels>'
)


def test_our_own_config_has_nothing_to_complain_about() -> None:
    review = review_config(labeling_config())
    assert (review.problems, review.advice) == ((), ())
    assert [line.split()[0] for line in review.fills] == ["polygon", "rectangle"]


def test_what_is_filled_is_named_with_control_and_label() -> None:
    choice = '<Choices name="c" toName="i"><Choice value="Nothing"/></Choices>'
    assert review_config(with_tags(BRUSH, ASK, choice)).fills == ("brush 'b' (MC)", "choices 'c' (Nothing)")


@pytest.mark.parametrize(
    ("config", "problem"),
    [
        ("<View", "is not XML"),
        (with_tags(), 'predicted_values="Cluster"'),
        (with_tags(BRUSH, image='<Image name="i" value="http://x/y.png"/>'), 'write value="$image"'),
        (with_tags(BRUSH, image='<Image name="i" value="$dir/$file"/>'), 'write value="$image"'),
        (with_tags(BRUSH, BOX.replace('"r"', '"b"')), "two tags are named 'b'"),
    ],
)
def test_a_config_that_cannot_work_is_a_problem_with_its_remedy(config: str, problem: str) -> None:
    assert any(problem in line for line in review_config(config).problems)


@pytest.mark.parametrize(
    ("config", "advice"),
    [
        (with_tags(BOX, ASK), "no PolygonLabels or BrushLabels"),
        (
            with_tags(BRUSH, ASK, BOX.replace('"MC"/>', '"MC"/><Label value="Calcification"/>')),
            "'calcification'",
        ),
        (with_tags(BRUSH, ASK, '<MagicWand name="w" toName="i"/>'), "'w' (MagicWand) are not supported"),
        (with_tags(BRUSH, BOX), "no control prompts the model"),
        (with_tags(BRUSH, BOX, ASK.replace('smartOnly="true"', "")), "'ask' stay in the annotation"),
        (with_tags(BRUSH, BOX, ASK.replace("MC", "Lesion")), "'ask' has no label for clusters"),
        (with_tags(BRUSH, BOX, ASK.replace('model_index="0"', "")), "lack model_index"),
        (
            with_tags(BRUSH, BOX, ASK, image='<Image name="i" value="$image" rotateControl="true"/>'),
            "rotateControl",
        ),
    ],
)
def test_a_config_that_works_badly_gets_advice(config: str, advice: str) -> None:
    review = review_config(config)
    assert review.problems == ()
    assert any(advice in line for line in review.advice)
