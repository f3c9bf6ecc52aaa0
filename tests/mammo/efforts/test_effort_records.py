from datetime import timedelta

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from mammo.annotations import AnnotationStore, PrelabelHeader, shown_prelabel, silent_prelabel
from mammo.annotations.headers import ChampionHistory
from mammo.database import edit_effort, reading
from mammo.efforts import measured_efforts as module
from mammo.efforts.effort_records import CONTROL, annotator_pseudonym, effort_records, grouped, summarise
from mammo.labelstudio.labeling_config import ControlTags
from mammo.worklist.order import Candidate, planned, record_order
from tests.mammo.corrected import SECRET, START, TAGS, correct, show
from tests.training.detections import square

LATER = 60 * 24 * 365 * 5
"""Minutes: after every prelabel that a test makes."""

FIRST, SECOND = square(20, 20, name="c1"), square(200, 20, name="c2")


@pytest.fixture
def store(any_engine):
    store = AnnotationStore(any_engine)
    yield store
    store.close()


@pytest.fixture
def records(store, any_engine):
    return lambda tags=TAGS: (
        effort_records(1, store=store, engine=any_engine, secret=SECRET, tags=tags).records
    )


def test_a_correction_is_compared_with_the_prelabel_that_label_studio_names(store, records):
    show(store, FIRST, SECOND, version="m1")
    show(store, FIRST, version="m2")
    correct(store, FIRST, version="m1")
    (record,) = records()
    assert (record.model_version, record.effort.accepted, record.effort.deleted) == ("m1", 1, 1)


def test_where_no_version_is_reported_the_newest_prelabel_before_the_first_revision_counts(store, records):
    show(store, FIRST, version="m1")
    correct(store, FIRST, SECOND, names_version=False, minutes=60 * 24 * 365 * 5)  # after every prelabel
    (record,) = records()
    assert (record.model_version, record.effort.accepted, record.effort.added) == ("m1", 1, 1)


def test_a_correction_without_any_prelabel_is_the_control(store, records):
    correct(store, FIRST, names_version=False)
    show(store, FIRST)  # shown after it was read
    (record,) = records()
    assert (record.model_version, record.effort.added) == (CONTROL, 1)


def test_the_control_is_compared_with_what_the_model_said_silently(store, records):
    show(store, FIRST, SECOND, shown=False)
    correct(store, FIRST, names_version=False, minutes=LATER, seconds=3.0)
    (record,) = records()
    assert (record.arm, record.model_version, record.score) == ("control", "m1", 0.7)
    assert (record.effort.accepted, record.effort.deleted, record.hasty) == (1, 1, False)
    assert record.effort.dice == pytest.approx(2 / 3)


def test_a_model_that_could_have_learned_from_a_correction_is_not_compared_with_it(store, records):
    correct(store, FIRST, names_version=False)
    show(store, FIRST, version="m2", shown=False)  # created now, long after the correction
    (record,) = records()
    assert (record.arm, record.model_version) == ("control", CONTROL)


def test_what_was_silent_when_the_image_was_read_stays_the_control(store, records):
    show(store, FIRST, shown=False)
    correct(store, FIRST, names_version=False, minutes=LATER)
    assert [record.arm for record in records()] == ["control"]
    show(store, FIRST)  # before the correction: it was shown
    show(store, FIRST, shown=False)  # what was seen once was seen
    assert [record.arm for record in records()] == ["prelabelled"]


def test_efforts_are_grouped_by_arm_and_by_order(store, records, any_engine):
    for task, shown in ((5, True), (6, False), (7, False)):
        show(store, FIRST, task=task, shown=shown)
        correct(
            store, FIRST, annotation=task, task=task, names_version=False, minutes=LATER, seconds=10.0 * task
        )
    candidates = [Candidate(task=task, stratum="positive") for task in (5, 6)]
    record_order(any_engine, 1, planned(candidates, "random", project=1, positive_share=0.5, limit=9))
    arms = grouped(records(), ["arm"])
    assert {key: (each.images, each.lead_time) for key, each in arms.items()} == {
        ("control",): (2, 65.0),
        ("prelabelled",): (1, 50.0),
    }
    orders = grouped(records(), ["order"])
    assert {key: each.images for key, each in orders.items()} == {("none",): 1, ("random",): 2}


def test_accepted_as_it_was_within_seconds_is_hasty(store, records):
    show(store, FIRST)
    for task, seconds, findings in ((5, 3.0, [FIRST]), (6, 30.0, [FIRST]), (7, 3.0, [SECOND])):
        show(store, FIRST, task=task)
        correct(store, *findings, annotation=task, task=task, seconds=seconds)
    assert [record.hasty for record in records()] == [True, False, False]


def test_an_effort_is_computed_once_and_again_when_the_prelabel_is_another(
    store, records, any_engine, monkeypatch
):
    show(store, FIRST)
    correct(store, FIRST)
    first = records()
    with monkeypatch.context() as patch:
        patch.setattr(module, "edit_effort", None)  # nothing is computed any more
        assert records() == first
    show(store, FIRST, SECOND)  # the same version, drawn again
    with reading(any_engine) as connection:
        assert connection.scalar(sa.select(sa.func.count()).select_from(edit_effort)) == 0
    (again,) = records()
    assert again.effort.deleted == 1


def test_an_effort_that_was_counted_with_other_names_is_counted_again(store, records):
    show(store, FIRST, SECOND)
    correct(store, FIRST)
    assert records(ControlTags()) == (), "with our names none of it can be read"
    (record,) = records()
    assert (record.effort.accepted, record.effort.deleted) == (1, 1)
    assert records() == (record,)


def test_groups_and_their_figures(store, records):
    for task, user, minutes in ((5, 7, 0), (6, 7, 10), (7, 8, 60 * 24 * 7)):
        show(store, FIRST, SECOND, task=task)
        correct(store, FIRST, annotation=task, task=task, user=user, minutes=minutes, seconds=10.0 * task)
    summary = summarise(records())
    assert (summary.images, summary.accept_rate, summary.deleted_per_image) == (3, 0.5, 1.0)
    assert (summary.lead_time, summary.hasty) == (60.0, 0)
    assert summary.dice == pytest.approx(2 / 3)
    weeks = grouped(records(), ["week", "annotator"])
    first, second = annotator_pseudonym(7, secret=SECRET), annotator_pseudonym(8, secret=SECRET)
    assert {key: group.images for key, group in weeks.items()} == {
        ("2026-11-23", first): 2,
        ("2026-11-30", second): 1,
    }
    with pytest.raises(ValueError, match=r"cannot group by day; possible keys: model"):
        grouped(records(), ["day"])


def test_a_pseudonym_depends_on_the_secret_and_does_not_show_the_account():
    one = annotator_pseudonym(7, secret=b"a")
    assert one == annotator_pseudonym(7, secret=b"a") != annotator_pseudonym(7, secret=b"b")
    assert one != annotator_pseudonym(8, secret=b"a")
    assert annotator_pseudonym(None, secret=b"a") == "unknown"


def test_what_cannot_be_read_is_in_no_figure_and_is_named(store, any_engine):
    for task, shown_turned, left_turned in ((5, False, False), (6, False, True), (7, True, False)):
        show(store, FIRST, task=task, turned=shown_turned)
        correct(store, FIRST, annotation=task + 10, task=task, turned=left_turned)
    efforts = effort_records(1, store=store, engine=any_engine, secret=SECRET, tags=TAGS)
    assert [record.task for record in efforts.records] == [5]
    assert [(each.task, each.annotation) for each in efforts.unreadable] == [(6, 16), (7, 17)]
    assert all("rotated by 90 degrees" in each.reason for each in efforts.unreadable)


def test_what_was_computed_costs_no_statement_of_its_own(store, records, any_engine):
    """Two corrections or forty: what is new is opened, what is not is read together."""
    seen = []
    note = sa.event.listens_for(any_engine, "before_cursor_execute")
    note(lambda _connection, _cursor, statement, *_: seen.append(statement))

    def cost():
        seen.clear()
        assert len(records()) == count
        return len(seen)

    costs = []
    for count in (2, 40):
        for task in range(1, count + 1):
            show(store, FIRST, task=task)
            correct(
                store, FIRST, SECOND, task=task, annotation=task, names_version=task % 2 == 0, minutes=LATER
            )
            correct(store, FIRST, task=task, annotation=task, names_version=False, minutes=LATER + 5)
        records()
        costs.append(cost())
    assert costs[0] == costs[1]
    assert costs[0] <= 12


MOMENTS = [START + timedelta(hours=hour) for hour in range(6)]


@given(
    st.lists(
        st.builds(
            PrelabelHeader,
            id=st.integers(1, 99),
            model_version=st.sampled_from(["m1", "m2", "m3"]),
            score=st.just(0.5),
            created_at=st.sampled_from(MOMENTS),
            shown_at=st.none() | st.sampled_from(MOMENTS),
        ),
        max_size=4,
        unique_by=(lambda each: each.id, lambda each: each.model_version),
    ),
    st.sampled_from([None, "m1", "m9"]),
    st.sampled_from(MOMENTS),
    st.randoms(use_true_random=False),
)
def test_the_compared_prelabel_does_not_depend_on_the_order_of_rows(
    prelabels, reported, first_updated_at, random
):
    mixed = random.sample(prelabels, len(prelabels))
    shown = shown_prelabel(prelabels, reported_version=reported, first_updated_at=first_updated_at)
    assert shown_prelabel(mixed, reported_version=reported, first_updated_at=first_updated_at) == shown
    if shown is not None:
        assert shown.model_version == reported or shown.shown_at < first_updated_at
    champions = ChampionHistory(moves=[(MOMENTS[1], "m2"), (MOMENTS[3], "m3")])
    silent = silent_prelabel(prelabels, first_updated_at=first_updated_at, champions=champions)
    assert silent_prelabel(mixed, first_updated_at=first_updated_at, champions=champions) == silent
    unseen = [
        p
        for p in prelabels
        if p.created_at < first_updated_at and not (p.shown_at and p.shown_at < first_updated_at)
    ]
    assert (silent is None) == (not unseen)
    if any(each.model_version == champions.at(first_updated_at) for each in unseen):
        assert silent.model_version == champions.at(first_updated_at)
