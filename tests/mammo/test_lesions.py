"""Findings of two views are one lesion where they lie as far behind the nipple, are as large, and score well."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mammo.findings import CLUSTER, Finding
from mammo.geometry import Box, Spacing
from mammo.landmarks import Landmarks
from mammo.lesions import MIN_PROBABILITY, TOLERANCE_MM, ViewFindings, same_lesions

SPACING = Spacing(0.1, 0.1, "imager")


def finding(name: str, *, behind_mm: float, side_mm: float = 6.0, score: float = 0.9) -> Finding:
    """A square whose centre lies so far behind the nipple, which is at column 1,000."""
    side, centre = round(side_mm * 10), 1000 - round(behind_mm * 10)
    box = Box(centre - side // 2, 300, centre - side // 2 + side, 300 + side)
    return Finding(label=CLUSTER, score=score, box=box, id=name)


def view(*findings: Finding) -> ViewFindings:
    landmarks = Landmarks(nipple=(1000.0, 400.0), wall="left", spacing=SPACING)
    return ViewFindings(findings=findings, landmarks=landmarks)


def names(cc: ViewFindings, mlo: ViewFindings) -> list[tuple[str, str]]:
    return [(pair.cc.id, pair.mlo.id) for pair in same_lesions(cc, mlo)]


def test_two_lesions_of_a_breast_are_told_apart_by_their_distance_from_the_nipple() -> None:
    cc = view(finding("a", behind_mm=20), finding("b", behind_mm=60))
    mlo = view(finding("c", behind_mm=62), finding("d", behind_mm=21))
    assert sorted(names(cc, mlo)) == [("a", "d"), ("b", "c")]


@pytest.mark.parametrize(
    "other",
    [
        finding("far", behind_mm=20 + TOLERANCE_MM + 1),
        finding("large", behind_mm=20, side_mm=40),
        finding("faint", behind_mm=20, score=0.05),
    ],
)
def test_what_differs_is_not_proposed(other: Finding) -> None:
    assert names(view(finding("a", behind_mm=20)), view(other)) == []


def test_a_finding_is_in_one_pair_only() -> None:
    cc = view(finding("a", behind_mm=20), finding("b", behind_mm=24))
    assert names(cc, view(finding("c", behind_mm=20))) == [("a", "c")]


findings = st.lists(st.tuples(st.floats(0, 90), st.floats(2, 20), st.floats(0, 1)), max_size=5).map(
    lambda rows: view(
        *(
            finding(str(number), behind_mm=behind, side_mm=side, score=score)
            for number, (behind, side, score) in enumerate(rows)
        )
    )
)


@given(findings, findings)
def test_pairs_are_probable_sorted_disjoint_and_the_same_in_either_order(
    cc: ViewFindings, mlo: ViewFindings
) -> None:
    pairs = same_lesions(cc, mlo)
    probabilities = [pair.probability for pair in pairs]
    assert probabilities == sorted(probabilities, reverse=True)
    assert all(MIN_PROBABILITY < each <= 1 for each in probabilities)
    assert len({pair.cc.id for pair in pairs}) == len({pair.mlo.id for pair in pairs}) == len(pairs)
    turned = [pair.probability for pair in same_lesions(mlo, cc)]
    assert sum(turned) == pytest.approx(sum(probabilities))
