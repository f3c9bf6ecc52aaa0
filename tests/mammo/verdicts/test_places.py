from mammo.verdicts.places import KINDS, places
from tests.mammo.verdicts.records import found, image, lesion, record


def kinds(made):
    return [each.kind for each in places(made)]


def test_each_lesion_and_false_alarm_is_classified_and_the_worst_comes_first():
    lesions = tuple(lesion(x, 5) for x in (10, 40, 70, 100, 130))
    made = record(
        image(
            lesions,
            (
                found(10, 5, lesion=0, dice=0.8),
                found(70, 5, lesion=2, dice=0.8),
                found(100, 5, lesion=3, dice=0.5),
                found(200, 200),
                found(250, 250),
            ),
            (
                found(40, 5, lesion=1, dice=0.8),
                found(70, 5, lesion=2, dice=0.6),
                found(100, 5, lesion=3, dice=0.7),
                found(203, 203),
                found(300, 300),
            ),
        )
    )
    assert kinds(made) == list(KINDS)


def test_of_lost_lesions_the_one_that_the_champion_was_surest_of_is_the_worst():
    lesions = tuple(lesion(x, 5) for x in (10, 40))
    made = record(image(lesions, (found(10, 5, 0.5, lesion=0), found(40, 5, 0.9, lesion=1)), ()))
    assert [each.champion.score for each in places(made)] == [0.9, 0.5]


def test_a_missed_lesion_has_the_score_that_did_not_suffice():
    made = record(image((lesion(10, 5),), (), (), best=((0.1,), (0.25,))))
    (place,) = places(made)
    assert (place.kind, place.champion_best, place.challenger_best) == ("both_missed", 0.1, 0.25)


def test_one_false_alarm_of_the_challenger_does_not_stand_for_two_of_the_champion():
    made = record(image((), (found(10, 10), found(12, 12)), (found(11, 11),)))
    assert kinds(made) == ["both_alarm", "alarm_gone"]


def test_the_box_of_a_place_holds_everything_that_is_drawn():
    made = record(image((lesion(10, 10),), (found(4, 4, lesion=0, dice=0.1),), ()))
    assert places(made)[0].box.as_tuple() == (4, 4, 20, 20)


def test_places_have_different_keys():
    made = record(*(image((lesion(5, 5),), (found(50, 50),), (found(90, 90), found(120, 120))) for _ in "ab"))
    assert len({each.key for each in places(made)}) == len(places(made)) == 8
