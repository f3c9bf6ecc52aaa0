import json
from datetime import timedelta

import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from mammo.annotations import AnnotationStore, reconcile
from mammo.database import event, open_database, reading
from mammo.errors import LabelStudioError
from tests.mammo.annotations.label_studio_model import LabelStudioModel


class Site:
    """Label Studio's model, our store, and the unreliable wire between them."""

    def __init__(self, engine, *, ahead=timedelta(0)):
        """
        Args:
            ahead: of Label Studio's clock, how far ours is.
        """
        self.engine = engine
        self.ahead = ahead
        self.label_studio = LabelStudioModel()
        self.store = AnnotationStore(engine)

    def deliver(self, event, *, late=0.0):
        action, body = event
        received_at = self.label_studio.time + self.ahead + timedelta(seconds=late)
        self.store.append(json.dumps(body).encode(), action=action, received_at=received_at)

    def reconcile(self, *, complete=False):
        return reconcile(
            1,
            client=self.label_studio,
            store=self.store,
            engine=self.engine,
            complete=complete,
            clock=lambda: self.label_studio.clock() + self.ahead,
        )

    def view(self):
        found = self.store.corrections(1)
        return sorted((c.annotation_id, c.task_id, c.result[0]["value"]["x"]) for c in found)


CLOCKS = [timedelta(hours=hours) for hours in (-30, -3, 0, 3, 30)]
"""How far our clock is ahead of Label Studio's."""


@pytest.fixture(params=[timedelta(0)])
def site(any_engine, request):
    site = Site(any_engine, ahead=request.param)
    yield site
    site.store.close()


def counts(found):
    return found.missing, found.stale, found.deleted


def test_what_no_webhook_told_of_is_found_and_counted(site):
    server = site.label_studio
    first, second = server.add_task(), server.add_task()
    site.deliver(server.annotate(first, 1))
    server.annotate(first, 2)
    server.annotate(second, 3)
    assert counts(site.reconcile()) == (2, 0, 0)
    assert site.view() == server.truth()


def test_a_second_look_finds_nothing_and_fetches_no_content(site):
    server = site.label_studio
    server.annotate(server.add_task(), 1)
    server.annotate(server.add_task(), 2, cancelled=True)
    assert counts(site.reconcile()) == (2, 0, 0)
    server.fetched.clear()
    again = site.reconcile()
    assert counts(again) == (0, 0, 0)
    assert server.fetched == []


def test_the_cost_of_a_look_follows_the_changes(site):
    server = site.label_studio
    tasks = [server.add_task() for _ in range(5)]
    for task in tasks:
        server.annotate(task, task)
    server.time += timedelta(hours=1)
    last = server.add_task()
    assert site.reconcile().tasks == 6
    server.change(tasks[2], 3, 30)
    found = site.reconcile()
    assert (found.complete, found.tasks, counts(found)) == (
        False,
        2,
        (0, 1, 0),
    )  # the last is looked at again
    assert server.fetched[-1] == tasks[2] != last
    assert site.view() == server.truth()


def test_at_least_once_a_day_a_look_is_complete(site):
    server = site.label_studio
    server.add_task()
    assert [site.reconcile().complete for _ in range(2)] == [True, False]
    server.time += timedelta(hours=25)
    assert site.reconcile().complete


def test_a_missed_change_a_missed_skip_and_a_missed_deletion_are_repaired(site):
    server = site.label_studio
    task = server.add_task()
    for x in (1, 2, 3):
        site.deliver(server.annotate(task, x))
    server.change(task, 1, 10)
    server.change(task, 2, 2, cancelled=True)
    server.delete(task, 3)
    assert counts(site.reconcile()) == (0, 2, 1)
    assert site.view() == server.truth() == [(1, task, 10)]


def test_only_a_complete_look_misses_a_deleted_task(site):
    server = site.label_studio
    task = server.add_task()
    site.deliver(server.annotate(task, 1))
    site.reconcile()
    server.delete_task(task)
    assert counts(site.reconcile()) == (0, 0, 0)
    assert counts(site.reconcile(complete=True)) == (0, 0, 1)
    assert site.view() == []


def test_a_task_that_only_the_list_hides_loses_nothing(site):
    server = site.label_studio
    task = server.add_task()
    site.deliver(server.annotate(task, 1))
    listed, server.task_summaries = server.task_summaries, lambda project, *, since=None: []
    assert counts(site.reconcile(complete=True)) == (0, 0, 0)
    server.task_summaries = listed
    assert site.view() == server.truth()


@pytest.mark.parametrize("site", CLOCKS, indirect=True)
def test_a_deletion_deletes_whatever_the_clocks_say(site):
    server = site.label_studio
    first, second, third = (server.add_task() for _ in range(3))
    for task in (first, second, third):
        site.deliver(server.annotate(task, task))
    site.deliver(server.delete(first, 1))
    assert site.view() == server.truth()
    site.deliver(server.delete_task(second))
    assert site.view() == server.truth()
    server.delete(third, 3)  # its webhook is lost
    assert counts(site.reconcile()) == (0, 0, 1)
    assert site.view() == server.truth() == []
    assert counts(site.reconcile(complete=True)) == (0, 0, 0)


@pytest.mark.parametrize("site", CLOCKS, indirect=True)
def test_a_deletion_that_overtakes_a_save_deletes_whatever_the_clocks_say(site):
    server = site.label_studio
    task = server.add_task()
    created = server.annotate(task, 1)
    site.deliver(server.delete(task, 1))
    site.deliver(created, late=0.5)
    assert site.view() == server.truth() == [], "nothing is known of the clocks yet"
    server.time += timedelta(minutes=2)
    site.deliver(server.annotate(server.add_task(), 2))
    created = server.annotate(task, 3)
    site.deliver(server.delete(task, 2))
    server.time += timedelta(hours=1)
    site.deliver(created)
    assert site.view() == server.truth()


@pytest.mark.parametrize("site", CLOCKS, indirect=True)
def test_an_id_that_is_reused_is_a_new_annotation_whatever_the_clocks_say(site):
    server = site.label_studio
    task = server.add_task()
    site.deliver(server.annotate(task, 1))
    site.deliver(server.delete(task, 1))
    server.annotate(task, 2)  # by import: no webhook
    site.deliver(server.change(task, 1, 3))
    assert site.view() == server.truth() == [(1, task, 3)]
    site.deliver(server.delete_task(task))
    server.annotate(server.add_task(), 4)
    assert counts(site.reconcile()) == (1, 0, 0)
    assert site.view() == server.truth() == [(1, 1, 4)]


def test_a_clock_that_is_set_back_meanwhile_keeps_nothing_alive(site):
    server = site.label_studio
    task = server.add_task()
    site.ahead = timedelta(hours=5)
    site.deliver(server.annotate(task, 1))
    site.deliver(server.annotate(server.add_task(), 2))
    site.ahead = timedelta(0)
    site.deliver(server.delete(task, 1))
    assert site.view() == server.truth()


@pytest.mark.parametrize("moment", ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z"])
def test_a_save_at_an_impossible_time_does_not_set_the_clocks(site, moment):
    server = site.label_studio
    task = server.add_task()
    action, body = server.annotate(task, 1)
    body["annotation"]["updated_at"] = moment
    site.deliver((action, body))
    site.deliver(server.delete(task, 1))
    assert site.view() == server.truth() == []


def test_an_id_that_is_given_twice_is_two_annotations(site):
    server = site.label_studio
    first, second = server.add_task(), server.add_task()
    site.deliver(server.annotate(first, 1))
    site.deliver(server.delete(first, 1))
    server.annotate(second, 2)  # by import, as annotation 1 again: no webhook
    assert counts(site.reconcile()) == (1, 0, 0)
    assert site.view() == server.truth() == [(1, second, 2)]
    site.deliver(server.delete(second, 1))  # word for word the deletion of the first
    assert site.view() == server.truth() == []


def test_a_clock_that_runs_ahead_in_label_studio_does_not_keep_the_dead_alive(site):
    server = site.label_studio
    task = server.add_task()
    site.deliver(server.annotate(task, 1))
    server.delete(task, 1)
    server.time -= timedelta(minutes=5)  # our clock, which the look reads
    assert counts(site.reconcile()) == (0, 0, 1)
    assert site.view() == []
    assert counts(site.reconcile(complete=True)) == (0, 0, 0)


def test_a_late_save_of_a_deleted_task_does_not_keep_it_alive_where_all_saves_before_were_late(site):
    server = site.label_studio
    task = server.add_task()
    save = server.annotate(task, 1)
    server.time += timedelta(seconds=90)  # all that is known of the clocks is 90 s wrong
    site.deliver(save)
    site.reconcile()
    late = server.annotate(task, 2)
    site.deliver(server.delete_task(task))
    site.deliver(late)
    site.reconcile()
    assert site.view() == []


def test_a_project_that_is_gone_is_an_error_and_deletes_nothing(site):
    server = site.label_studio
    site.deliver(server.annotate(server.add_task(), 1))

    def gone(project, *, since=None):
        raise LabelStudioError("no such project", code="label_studio_404")

    server.task_summaries = gone
    with pytest.raises(LabelStudioError):
        site.reconcile()
    assert len(site.view()) == 1


def test_a_user_described_at_length_is_the_same_user(site):
    server = site.label_studio
    task = server.add_task()
    server.annotate(task, 1)
    server.tasks[task]["annotations"][1]["completed_by"] = {"id": 7, "email": "somebody"}
    site.reconcile()
    assert [correction.completed_by for correction in site.store.corrections(1)] == [7]
    with reading(site.engine) as connection:
        assert not any(b"somebody" in body for body in connection.scalars(sa.select(event.c.body)))


deeds = st.lists(
    st.tuples(
        st.sampled_from(["add", "annotate", "annotate", "change", "skip", "delete", "delete_task"]),
        st.integers(0, 5),
        st.sampled_from(["delivered", "lost", "twice", "late"]),
    ),
    max_size=14,
)


def act(server, change, pick):
    """One operation on something that exists; returns its webhook."""
    annotated = [(task, number) for task, held in server.tasks.items() for number in held["annotations"]]
    if change == "add" or not server.tasks:
        server.add_task()
        return None
    task = sorted(server.tasks)[pick % len(server.tasks)]
    if change == "delete_task":
        return server.delete_task(task)
    if change == "annotate" or not annotated:
        return server.annotate(task, pick)
    task, number = annotated[pick % len(annotated)]
    if change == "delete":
        return server.delete(task, number)
    return server.change(task, number, pick + 10, cancelled=change == "skip")


def happen(site, history, data):
    """The deeds with their webhooks lost, doubled, or delivered at the end in any order."""
    late = []
    for change, pick, fate in history:
        event = act(site.label_studio, change, pick)
        if event is None or fate == "lost":
            continue
        if fate == "late":
            late.append(event)
            continue
        for _ in range(2 if fate == "twice" else 1):
            site.deliver(event, late=0.01)
    for event in data.draw(st.permutations(late)):
        site.deliver(event, late=0.5)


@settings(max_examples=60, deadline=None)
@given(deeds, deeds, st.sampled_from(CLOCKS), st.data())
def test_whatever_happens_to_the_webhooks_a_look_makes_the_store_equal_to_label_studio(
    tmp_path_factory, before, after, ahead, data
):
    engine = open_database(f"sqlite:///{tmp_path_factory.mktemp('site') / 'x.db'}")
    site = Site(engine, ahead=ahead)
    happen(site, before, data)
    site.reconcile()
    assert site.view() == site.label_studio.truth()
    happen(site, after, data)
    if any(change == "delete_task" and fate == "lost" for change, _, fate in after):
        site.reconcile(complete=True)  # the one thing that the list of changed tasks does not show
    else:
        site.reconcile()
    assert site.view() == site.label_studio.truth()
    site.store.close()
    engine.dispose()
