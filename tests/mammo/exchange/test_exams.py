from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mammo.exam_views import EXAM_VIEWS
from mammo.exchange.exams import ExamImage, Grouping, group_exams

IMAGE = ExamImage(name="a", patient="p1", study="s1", day="20240102", laterality="R", view="CC")


def four(**changes: Any) -> list[ExamImage]:
    """The four standard views of one exam, named after their view."""
    prefix = "-".join(str(changes.get(key, getattr(IMAGE, key))) for key in ("patient", "study", "day"))
    return [
        replace(
            IMAGE,
            **{"name": f"{prefix}-{view.name}", "laterality": view.laterality, "view": view.view} | changes,
        )
        for view in EXAM_VIEWS
    ]


def reasons(grouping: Grouping) -> dict[str, str]:
    return {each.image.name: each.reason for each in grouping.listed}


IMAGES = st.lists(
    st.builds(
        ExamImage,
        name=st.text("abcdef", min_size=1, max_size=4),
        patient=st.sampled_from(["p1", "p2", None]),
        study=st.sampled_from(["s1", "s2", "s3", None]),
        day=st.sampled_from(["", "20240102", "20250102"]),
        laterality=st.sampled_from(["L", "R", "L", "R", None]),
        view=st.sampled_from(["CC", "MLO", "CC", "MLO", "ML", None]),
        modifier=st.sampled_from(["", "", "", "magnification"]),
    ),
    unique_by=lambda image: image.name,
    max_size=14,
)
"""Images of few patients and studies, so that groups of every kind occur."""


@given(IMAGES)
def test_every_image_is_in_one_exam_or_listed_once(images: list[ExamImage]) -> None:
    grouping = group_exams(images)
    placed = [image for exam in grouping.exams for image in exam.images.values()]
    placed += [each.image for each in grouping.listed]
    assert sorted(image.name for image in placed) == sorted(image.name for image in images)
    assert all(each.reason for each in grouping.listed)


@given(IMAGES, st.randoms(use_true_random=False))
def test_the_order_of_the_images_does_not_matter(images: list[ExamImage], random: Any) -> None:
    shuffled = random.sample(images, len(images))
    assert group_exams(shuffled) == group_exams(images)


@given(IMAGES)
def test_exams_of_patients_studies_and_dates_never_mix(images: list[ExamImage]) -> None:
    grouping = group_exams(images)
    for exam in grouping.exams:
        for view, image in exam.images.items():
            assert (image.patient, image.study) == (exam.patient, exam.study)
            assert image.day in ("", exam.day)
            assert (image.laterality, image.view, image.modifier) == (view.laterality, view.view, "")
    keys = [(exam.patient, exam.day, exam.study or "") for exam in grouping.exams]
    assert all(one < other for one, other in pairwise(keys))


def test_four_views_of_a_study_are_an_exam_in_the_order_of_the_page() -> None:
    grouping = group_exams(reversed(four()))
    (exam,) = grouping.exams
    assert list(exam.images) == list(EXAM_VIEWS)
    assert grouping.listed == ()


def test_a_missing_view_is_missing_in_the_exam() -> None:
    (exam,) = group_exams(four()[:3]).exams
    assert [view.name for view in exam.images] == ["RCC", "LCC", "RMLO"]


def test_two_images_of_a_view_list_the_whole_exam() -> None:
    grouping = group_exams([*four(), replace(IMAGE, name="again")])
    assert grouping.exams == ()
    assert set(reasons(grouping).values()) == {"its exam has several images of R CC"}
    assert len(grouping.listed) == 5


def test_a_spot_view_is_listed_and_leaves_its_exam_whole() -> None:
    spot = replace(IMAGE, name="spot", modifier="spot compression")
    exaggerated = replace(IMAGE, name="xccl", view="XCCL")
    grouping = group_exams([*four(), spot, exaggerated])
    assert len(grouping.exams) == 1
    assert reasons(grouping) == {
        "spot": "it is not a standard view: spot compression",
        "xccl": "its view is XCCL; an exam shows CC and MLO",
    }


def test_an_image_without_a_view_may_be_the_one_that_its_exam_lacks() -> None:
    nameless = replace(IMAGE, name="nameless", view=None)
    assert len(group_exams([*four(), nameless]).exams) == 1
    grouping = group_exams([*four()[:3], nameless])
    assert grouping.exams == ()
    found = reasons(grouping)
    assert found.pop("nameless") == "it states no view"
    assert set(found.values()) == {"nameless may be a view of its exam, and states no view"}


def test_an_undated_image_may_be_the_one_that_an_exam_of_its_patient_lacks() -> None:
    undated = replace(IMAGE, name="undated", study=None, day="", laterality="L", view="MLO")
    assert len(group_exams([*four(), undated]).exams) == 1
    elsewhere = [replace(each, name=f"p2-{each.name}", patient="p2", study="s2") for each in four()[:3]]
    grouping = group_exams([*four()[:3], undated, *elsewhere])
    assert [exam.patient for exam in grouping.exams] == ["p2"]
    found = reasons(grouping)
    assert found.pop("undated") == "neither its study nor its date is known"
    assert set(found.values()) == {
        "undated may be a view of its exam, and neither the study nor the date is known"
    }


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        ({"study": "s2"}, "its patient has two studies on this date"),
        ({"study": None}, "its patient has two studies on this date"),
        ({"patient": "p2"}, "its study has images of two patients"),
        ({"day": "20240103"}, "its study has images of two dates"),
    ],
)
def test_a_study_that_is_not_clear_is_listed(other: dict[str, Any], reason: str) -> None:
    grouping = group_exams([*four(), *four(**other)])
    assert grouping.exams == ()
    assert set(reasons(grouping).values()) == {reason}
    assert len(grouping.listed) == 8


def test_studies_of_different_dates_are_different_exams_in_order_of_date() -> None:
    grouping = group_exams([*four(study="s0", day="20250102"), *four()])
    assert [exam.day for exam in grouping.exams] == ["20240102", "20250102"]


def test_a_date_alone_identifies_a_study() -> None:
    assert len(group_exams(four(study=None)).exams) == 1
    grouping = group_exams(four(study=None, day=""))
    assert set(reasons(grouping).values()) == {"neither its study nor its date is known"}


def test_two_images_of_one_name_are_a_mistake_of_the_caller() -> None:
    with pytest.raises(ValueError, match="twice"):
        group_exams([IMAGE, IMAGE])
