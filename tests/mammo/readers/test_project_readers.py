"""Who read what: sums over days, readers who read the same image, and cases whose truth is known."""

from dataclasses import replace
from datetime import date

import httpx
import pytest

from mammo.audit import AuditTrail
from mammo.efforts.edit_effort import WordCounts
from mammo.efforts.effort_records import annotator_pseudonym, effort_records
from mammo.errors import UnknownAnnotation
from mammo.labelstudio.descriptors import exam_regions
from mammo.readers import KnownCases, project_readers
from mammo.readings import ReadingRecords
from tests.fakes.label_studio import FakeLabelStudio
from tests.mammo.corrected import CONFIG, SECRET, TAGS, correct, regions, show
from tests.training.detections import square

FIRST, SECOND = square(20, 20, name="c1"), square(200, 20, name="c2")
DAY = 24 * 60
MONDAY, TUESDAY = date(2026, 11, 23), date(2026, 11, 24)
HOSTILE = "<script>alert(1)</script>"


def reader(user):
    return annotator_pseudonym(user, secret=SECRET)


@pytest.fixture
def read(store, engine):
    server = FakeLabelStudio()
    server.projects[1] = {"id": 1, "label_config": CONFIG, "task_number": 40, "finished_task_number": 3}
    server.users = [{"id": 7, "first_name": HOSTILE, "last_name": "", "email": "a@b.example"}]

    def gather(*, client=server.client):
        return project_readers(
            1,
            efforts=effort_records(1, store=store, engine=engine, secret=SECRET, tags=TAGS),
            store=store,
            records=ReadingRecords(engine),
            known_cases=KnownCases(engine, store),
            client=client(),
            tags=lambda project: TAGS,
            secret=SECRET,
        )

    return gather


def pairs(readers, since=None, until=None):
    return readers.pairs(since=since, until=until)


def rows(readers, since=None, until=None, names=False):
    found = readers.rows(since=since, until=until, with_names=names)
    return {row.name or row.reader: row.tally for row in found}


def test_who_read_what_in_a_period_and_how_much_is_left(store, read):
    for task in (5, 6, 7):
        show(store, FIRST, SECOND, task=task)
    correct(store, FIRST, SECOND, task=5, annotation=1, seconds=4.0)  # unchanged, in four seconds
    correct(store, FIRST, square(300, 200, name="new"), task=6, annotation=2, minutes=DAY, seconds=60.0)
    correct(store, FIRST, task=7, annotation=3, minutes=DAY, user=8, seconds=30.0)
    readers = read()
    tuesday = rows(readers, since=TUESDAY, until=TUESDAY)
    assert set(tuesday) == {reader(7), reader(8)}
    mine = tuesday[reader(7)]
    assert (mine.images, mine.accepted, mine.added, mine.deleted, mine.hasty) == (1, 1, 1, 1, 0)
    always = rows(readers)[reader(7)]
    assert (always.images, always.annotations, always.total_seconds, always.median_seconds) == (
        2,
        2,
        64.0,
        32.0,
    )
    assert (always.accepted, always.hasty) == (3, 1)
    assert set(rows(readers, until=MONDAY)) == {reader(7)}
    assert (readers.tasks, readers.done, readers.left) == (40, 3, 37)


def test_words_are_counted_by_reader_and_compared_between_two(store, read):
    described = replace(FIRST, morphology="skin")
    show(store, described, task=5)
    correct(store, described, task=5, annotation=1, user=7)
    kept = regions(replace(FIRST, morphology="rim"))
    correct(store, task=5, annotation=2, user=8, result=[*kept, *exam_regions({"density": "b"}, TAGS)])
    correct(store, described, task=6, annotation=3, user=7)  # read without a prelabel
    readers = read()
    words = {name: dict(tally.words) for name, tally in rows(readers).items()}
    assert words == {
        reader(7): {"morphology": WordCounts(given=1, accepted=1)},
        reader(8): {"density": WordCounts(given=1), "morphology": WordCounts(changed=1)},
    }
    (pair,) = pairs(readers)
    assert [(each.name, each.compared, each.only_second) for each in pair.descriptors] == [
        ("morphology", 1, 0),
        ("density", 0, 1),
    ]
    sent = readers.to_json(since=None, until=None, with_names=False)
    assert {row["reader"]: row["words"] for row in sent["readers"]}[reader(8)]["morphology"]["changed"] == 1
    assert sent["pairs"][0]["descriptors"]["morphology"]["compared"] == 1


def test_names_are_those_of_label_studio_and_only_for_who_may_see_them(store, read):
    correct(store, FIRST, user=7)
    readers = read()
    assert set(rows(readers)) == {reader(7)}
    assert set(rows(readers, names=True)) == {HOSTILE}
    assert HOSTILE not in str(readers.to_json(since=None, until=None, with_names=False))


def test_without_label_studio_the_corrections_are_still_counted(store, read):
    correct(store, FIRST)
    server = FakeLabelStudio()
    server.before = lambda request: httpx.Response(500)
    readers = read(client=server.client)
    assert readers.left is None
    assert readers.problem
    assert rows(readers)[reader(7)].images == 1


def test_two_readers_of_the_same_images_agree_or_not(store, read):
    correct(store, FIRST, task=5, annotation=1, user=7)
    correct(store, FIRST, task=5, annotation=2, user=8)
    correct(store, FIRST, task=6, annotation=3, user=7)
    correct(store, task=6, annotation=4, user=8)
    correct(store, task=7, annotation=5, user=7)
    correct(store, task=7, annotation=6, user=8)
    (pair,) = pairs(read())
    assert {pair.first, pair.second} == {reader(7), reader(8)}
    assert (pair.images, pair.agreed, pair.kappa.patients) == (3, 2, 3)
    assert pair.kappa.value == pytest.approx(0.4)
    assert pairs(read()) == [pair], "computed once, then stored"


def test_kappa_is_of_the_period_and_an_image_counts_when_the_second_reader_has_read_it(store, read):
    correct(store, FIRST, task=5, annotation=1, user=7)
    correct(store, FIRST, task=5, annotation=2, user=8)
    for number, user, minutes in ((3, 7, 0), (4, 8, DAY)):
        correct(store, *[FIRST] * (user == 7), task=6, annotation=number, user=user, minutes=minutes)
    readers = read()
    (always,), (monday,) = pairs(readers), pairs(readers, until=MONDAY)
    (tuesday,) = pairs(readers, since=TUESDAY, until=TUESDAY)
    assert (always.images, monday.images, tuesday.images) == (2, 1, 1)
    assert (monday.agreed, tuesday.agreed, tuesday.kappa.only_first) == (1, 0, 1)
    assert pairs(readers, until=date(2026, 11, 22)) == []
    shown = readers.to_json(since=TUESDAY, until=TUESDAY, with_names=False)["pairs"]
    assert [each["images"] for each in shown] == [1]


def test_a_known_case_counts_what_was_found_and_missed_and_what_is_not_there(store, engine, read):
    correct(store, FIRST, SECOND, task=90, annotation=900, user=1)  # the truth
    KnownCases(engine, store).name(1, 5, annotation=900, actor="root")
    correct(store, FIRST, square(300, 200, name="new"), task=5, annotation=1, user=7)
    correct(store, FIRST, task=6, annotation=2, user=8)  # not a known case
    readers = read()
    mine = rows(readers)[reader(7)]
    assert (mine.known_cases, mine.hits, mine.misses, mine.false_marks) == (1, 1, 1, 1)
    assert rows(readers)[reader(8)].known_cases == 0
    assert readers.num_known_cases == 1
    assert AuditTrail(engine).newest(limit=1)[0].action == "known cases named"
    with pytest.raises(UnknownAnnotation):
        KnownCases(engine, store).name(1, 5, annotation=12345, actor="root")


def test_cases_of_a_reference_project_become_a_share_of_the_tasks_and_look_like_the_others(store, engine):
    server = FakeLabelStudio()
    server.add_project(1)
    server.add_project(2)
    for number in range(1, 41):
        server.add_tasks(2, {"image": f"/data/{number}.png"})
        correct(store, FIRST, task=number, annotation=number)  # of project 1 in the store, the reference here
    server.projects[2]["task_number"] = 95
    known = KnownCases(engine, store)
    before = len(server.tasks)
    added = known.seed(2, reference=1, share=0.05, client=server.client(), actor="root")
    assert len(added) == 5
    assert all(set(task["data"]) == {"image"} for task in server.tasks[before:])
    server.projects[2]["task_number"] = 100
    assert known.seed(2, reference=1, share=0.05, client=server.client(), actor="root") == []
    more = known.seed(2, reference=1, share=0.1, client=server.client(), actor="root")
    assert len(more) == 6, "(5 + 6) / 106 is the least number that is a tenth"
    truths = [case.truth for case in known.of(2)]
    assert len(set(truths)) == len(truths) == 11
