"""Words are compared where both readers say one, with a kappa per descriptor and an interval over patients."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mammo.geometry import Spacing
from mammo.readings.agreement import Agreement, compare
from mammo.readings.descriptor_agreement import DescriptorAgreement, descriptor_agreements
from mammo.readings.rules import ReadingRules
from tests.mammo.readings.drawing import lesion

HERE, THERE = lesion(10, 10, 30, 30), lesion(50, 50, 70, 70)
FINE = Spacing(0.1, 0.1, "given")


def compared(first: list[object], second: list[object], *exams: dict[str, str]) -> Agreement:
    said = (exams[0], exams[1]) if exams else ({}, {})
    return compare(first, second, rules=ReadingRules(), spacing=FINE, exams=said)  # type: ignore[arg-type]


def one(word: str | None, other: str | None) -> Agreement:
    """One lesion about whose morphology the readers say these words."""
    return compared([replace(HERE, morphology=word)], [replace(HERE, morphology=other)])


def of(name: str, agreements: tuple[DescriptorAgreement, ...]) -> DescriptorAgreement:
    (found,) = (each for each in agreements if each.name == name)
    return found


def test_a_word_is_compared_on_the_lesion_that_both_found_and_only_if_both_say_one() -> None:
    first = [
        replace(HERE, morphology="amorphous", distribution="grouped"),
        replace(THERE, morphology="amorphous"),
    ]
    second = [replace(HERE, morphology="fine pleomorphic")]
    agreement = compared(first, second, {"density": "b"}, {"density": "b", "assessment": "4A"})
    found = descriptor_agreements([("p", agreement)])
    assert [each.name for each in found] == ["morphology", "distribution", "density", "assessment"]
    morphology = of("morphology", found)
    assert morphology.table == {("amorphous", "fine pleomorphic"): 1}
    assert (morphology.compared, morphology.observed, morphology.only_first) == (1, 0.0, 0)
    distribution = of("distribution", found)
    assert (distribution.compared, distribution.only_first, distribution.observed) == (0, 1, None)
    assert (of("density", found).observed, of("assessment", found).only_second) == (1.0, 1)


def test_kappa_of_words_is_that_of_a_table_worked_by_hand_and_silence_is_no_word() -> None:
    pairs = [("amorphous", "amorphous")] * 4 + [("amorphous", "fine pleomorphic")] * 2
    pairs += [("fine pleomorphic", "fine pleomorphic")] * 3 + [("typically benign", "amorphous")]
    readings = [(f"p{n}", one(*pair)) for n, pair in enumerate(pairs)]
    readings += [("q", one("amorphous", None)), ("r", one(None, None))]
    (found,) = descriptor_agreements(readings)
    # p_o = 7 / 10; p_e = (6 * 5 + 3 * 5 + 1 * 0) / 100
    assert found.kappa.value == pytest.approx((0.7 - 0.45) / (1 - 0.45))
    assert (found.compared, found.patients, found.only_first) == (10, 10, 1)
    low, high = found.kappa.low, found.kappa.high
    assert low is not None
    assert high is not None
    assert low < found.kappa.value < high
    assert descriptor_agreements(readings)[0] == found, "the interval is the same every time"


def test_lesions_of_one_patient_are_drawn_together_and_of_few_patients_no_interval_is_stated() -> None:
    pairs = [("amorphous", "amorphous"), ("fine pleomorphic", "amorphous"), ("fine pleomorphic",) * 2] * 8
    alone = descriptor_agreements([(f"p{n}", one(*pair)) for n, pair in enumerate(pairs)])[0].kappa
    thrice = descriptor_agreements([(f"p{n % 24}", one(*pairs[n % 24])) for n in range(72)])[0].kappa
    few = descriptor_agreements([(f"p{n % 9}", one(*pair)) for n, pair in enumerate(pairs)])[0].kappa
    assert alone.value == pytest.approx(thrice.value)
    assert (alone.low, alone.high) == (thrice.low, thrice.high), (
        "three views of a patient are no new patients"
    )
    assert (few.value, few.low) == (pytest.approx(alone.value), None)


def test_one_word_throughout_has_no_kappa() -> None:
    (found,) = descriptor_agreements([(f"p{n}", one("amorphous", "amorphous")) for n in range(12)])
    assert (found.observed, found.kappa.value, str(found.kappa)) == (1.0, None, "-")


def test_words_survive_the_database_and_different_ones_are_no_disagreement_about_the_lesion() -> None:
    agreement = compared(
        [replace(HERE, morphology="amorphous")], [replace(HERE, distribution="linear")], {"density": "a"}, {}
    )
    assert Agreement.from_json(agreement.to_json()) == agreement
    assert agreement.lesions[0].words == {"morphology": ("amorphous", None), "distribution": (None, "linear")}
    assert agreement.agreed


def test_neighbouring_degrees_of_suspicion_are_a_smaller_difference_than_distant_ones() -> None:
    def of_suspicion(*pairs: tuple[str, str]) -> DescriptorAgreement:
        said = [
            compared([replace(HERE, suspicion=first)], [replace(HERE, suspicion=second)])
            for first, second in pairs
        ]
        (found,) = descriptor_agreements((f"p{number}", each) for number, each in enumerate(said))
        return found

    near, far = (
        of_suspicion(("2", "3"), ("5", "5"), ("2", "2")),
        of_suspicion(("2", "5"), ("5", "5"), ("2", "2")),
    )
    assert near.weighted is not None
    assert far.weighted is not None
    assert near.weighted.value is not None
    assert far.weighted.value is not None
    assert near.weighted.value > far.weighted.value
    assert descriptor_agreements([("p", one("amorphous", "skin"))])[0].weighted is None
    assert near.to_json()["weighted"] == near.weighted.value
