import pytest
from hypothesis import given
from hypothesis import strategies as st

from mammo.verdicts.record import Model
from mammo.verdicts.versions import on_common_images
from tests.mammo.verdicts.records import found, image, lesion, record


def of(versions, *images):
    champion, challenger = (Model(version=each, threshold=0.3, curve=None) for each in versions)
    return record(*images, champion=champion, challenger=challenger)


def seen(name, patient, *, old=(), new=(), at=10):
    return image(
        sha256=name * 64,
        patient=patient,
        lesions=(lesion(at, 10),),
        champion=old,
        challenger=new,
        best=((None,),) * 2,
    )


HIT = (found(10, 10, lesion=0, dice=0.6),)
ALARM = (found(200, 200),)


def test_versions_are_compared_on_what_every_verdict_has_seen():
    first = of(("a", "b"), seen("1", "p", new=HIT), seen("2", "q"), seen("3", "r"))
    second = of(("b", "c"), seen("1", "p", old=HIT, new=ALARM), seen("2", "q", new=HIT))
    common = on_common_images([first, second])
    assert (common.patients, common.images, common.lesions) == (2, 2, 2)
    assert [each.version for each in common.versions] == ["a", "b", "c"]
    assert [each.sensitivity.value for each in common.versions] == [0, 0.5, 0.5]
    assert [each.false_positives.value for each in common.versions] == [0, 0, 0.5]
    assert [each.dice.value for each in common.versions] == [0, 0.3, 0.3]


def test_an_image_whose_truth_was_corrected_between_two_verdicts_is_left_out():
    first = of(("a", "b"), seen("1", "p"), seen("2", "q"))
    second = of(("b", "c"), seen("1", "p", at=40), seen("2", "q"))
    assert on_common_images([first, second]).images == 1
    assert on_common_images([first, of(("b", "c"), seen("9", "z"))]) is None
    assert on_common_images([]) is None


def test_of_a_version_in_two_verdicts_the_newer_one_counts():
    first, second = of(("a", "b"), seen("1", "p", new=HIT)), of(("b", "c"), seen("1", "p"))
    sensitivity = {
        each.version: each.sensitivity.value for each in on_common_images([first, second]).versions
    }
    assert sensitivity["b"] == 0


def test_without_lesions_only_false_alarms_are_defined():
    (only, _) = on_common_images([of(("a", "b"), image(sha256="1" * 64, champion=ALARM))]).versions
    assert only.sensitivity is None
    assert only.dice is None
    assert only.false_positives.value == 1


@given(st.lists(st.booleans(), min_size=1, max_size=8))
def test_an_interval_lies_around_its_value_and_in_its_range(hits):
    images = [seen(str(number), f"p{number}", old=HIT if hit else ()) for number, hit in enumerate(hits, 1)]
    sensitivity = on_common_images([of(("a", "b"), *images)]).versions[0].sensitivity
    assert 0 <= sensitivity.low <= sensitivity.high <= 1
    assert sensitivity.value == pytest.approx(sum(hits) / len(hits))
