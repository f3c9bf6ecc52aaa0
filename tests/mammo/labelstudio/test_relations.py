"""Which regions an annotation says are the same lesion, however its relations were made."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mammo.labelstudio.relations import SAME_LESION, lesions_of, names_same_lesion, same_lesion


def region(name: str) -> dict[str, object]:
    return {"id": name, "type": "polygonlabels", "from_name": "outline-RCC", "to_name": "RCC", "value": {}}


REGIONS = [region(name) for name in "abcd"]


def test_a_relation_makes_one_lesion_of_two_regions() -> None:
    assert lesions_of([*REGIONS, same_lesion("b", "a")]) == {"a": "a", "b": "a"}


def test_a_chain_of_relations_is_one_lesion() -> None:
    chain = [same_lesion("b", "c"), same_lesion("d", "c")]
    assert lesions_of([*REGIONS, *chain]) == {"b": "b", "c": "b", "d": "b"}


def test_a_relation_drawn_by_hand_has_no_label_and_counts() -> None:
    by_hand = {"from_id": "a", "to_id": "d", "type": "relation", "direction": "right"}
    assert lesions_of([by_hand, *REGIONS]) == {"a": "a", "d": "a"}


@pytest.mark.parametrize(
    "relation",
    [
        {**same_lesion("a", "b"), "labels": ["near"]},
        {**same_lesion("a", "b"), "labels": 7},
        same_lesion("a", "gone"),
        {"type": "relation"},
        "no result at all",
    ],
)
def test_other_relations_and_those_of_deleted_regions_say_nothing(relation: object) -> None:
    assert lesions_of([*REGIONS, relation]) == {}  # type: ignore[list-item]


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.sampled_from("abcd")), max_size=6))
def test_the_order_of_relations_does_not_matter(pairs: list[tuple[str, str]]) -> None:
    relations = [same_lesion(one, other) for one, other in pairs]
    turned = [same_lesion(other, one) for one, other in reversed(pairs)]
    assert lesions_of([*REGIONS, *relations]) == lesions_of([*turned, *REGIONS])


def test_a_config_names_the_relation_or_not() -> None:
    assert names_same_lesion(f'<View><Relations><Relation value="{SAME_LESION}"/></Relations></View>')
    assert not names_same_lesion('<View><Relations><Relation value="near"/></Relations></View>')
