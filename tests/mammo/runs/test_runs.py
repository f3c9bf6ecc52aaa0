"""Runs as rows: one active a project, one owner a run, every move by compare-and-set, on both databases."""

import itertools
import socket
import threading
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from mammo.database import run as run_table
from mammo.errors import Cancelled, RunConflict, UnknownRun
from mammo.runs import ALREADY_TAKEN, ENDED, WORKING, RunLedger, Runs, claim, classify, this_process
from mammo.runs.claims import MAX_STALLED, STALE
from mammo.runs.states import may_follow

DEAD = f"{socket.gethostname()}/999999999/1"
ELSEWHERE = "another-host/17/1"
STATES = (*WORKING, *ENDED)


def request(runs, project=1, **more):
    return runs.request(project, **{"recipe": "demo", "reason": "a reason", "trigger": "button", **more})


def taken(runs, *, owner=DEAD):
    run_id = request(runs).run
    return run_id, RunLedger(runs.engine, claim(runs, run_id, owner=owner))


def move_to(ledger, state):
    for each in WORKING[1 : WORKING.index(state) + 1]:
        ledger.enter(each)


def test_a_second_trigger_coalesces_with_the_active_run_and_is_recorded(any_engine):
    runs = Runs(any_engine)
    first, second = request(runs), request(runs, trigger="schedule")
    assert (first.created, second.created) == (True, False)
    assert second.run == first.run
    assert [(each["trigger"], each["started"]) for each in runs.triggers(1)] == [
        ("button", True),
        ("schedule", False),
    ]
    assert request(runs, project=2).created
    assert [each.kind for each in runs.events(first.run)] == ["state", "trigger"]


def test_of_many_who_ask_at_once_one_starts_a_run(any_engine):
    runs, answers = Runs(any_engine), []
    threads = [threading.Thread(target=lambda: answers.append(request(runs))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(answers) == 8
    assert sum(each.created for each in answers) == 1
    assert len({each.run for each in answers}) == 1


def test_one_occasion_asks_once_even_after_its_run_has_ended(any_engine):
    runs = Runs(any_engine)
    first = request(runs, key="schedule:1:monday")
    runs.cancel(first.run)
    again = request(runs, key="schedule:1:monday")
    assert (again.run, again.created) == (first.run, False)
    assert len(runs.newest()) == 1


def test_only_one_process_takes_a_run_up_until_its_owner_is_dead(any_engine):
    runs = Runs(any_engine)
    run_id = request(runs).run
    mine = claim(runs, run_id, owner=this_process())
    assert mine.attempt == 1
    assert claim(runs, run_id, owner=ELSEWHERE) is None
    assert runs.get(run_id).owner == this_process()
    other = request(runs, project=2).run
    assert claim(runs, other, owner=DEAD).attempt == 1
    assert claim(runs, other, owner=ELSEWHERE).attempt == 2, "its owner does not run on this host"
    assert claim(runs, other, owner=DEAD) is None, "one on another host has its time"
    later = datetime.now(UTC) + STALE + timedelta(seconds=1)
    assert claim(runs, other, owner=DEAD, now=later).attempt == 3


def test_a_process_that_was_taken_for_dead_changes_nothing_any_more(any_engine):
    runs = Runs(any_engine)
    run_id, old = taken(runs)
    new = RunLedger(runs.engine, claim(runs, run_id, owner=ELSEWHERE))
    new.enter("building")
    for write in (
        lambda: old.beat("detector", 0.9, ""),
        lambda: old.enter("detector"),
        lambda: old.keep("dataset", {"name": "another"}),
    ):
        with pytest.raises(Cancelled) as stopped:
            write()
        assert stopped.value.code == ALREADY_TAKEN
    old.fail(classify(ValueError()))
    run = runs.get(run_id)
    assert (run.state, run.progress) == ("building", 0.0)
    assert runs.results(run_id) == {}


def test_a_result_is_written_once_and_the_first_one_counts(any_engine):
    runs = Runs(any_engine)
    run_id, ledger = taken(runs)
    assert ledger.result("dataset") is None
    assert ledger.keep("dataset", {"name": "a"}) == {"name": "a"}
    assert ledger.keep("dataset", {"name": "b"}) == {"name": "a"}
    assert runs.results(run_id) == {"dataset": {"name": "a"}}


def test_a_run_moves_forward_only_and_each_move_is_an_event(any_engine):
    runs = Runs(any_engine)
    run_id, ledger = taken(runs)
    for state in ("building", "detector", "building", "segmenter"):
        ledger.enter(state)
    moves = [each.state for each in runs.events(run_id) if each.kind == "state"]
    assert moves == ["queued", "building", "detector", "segmenter"]
    with pytest.raises(AssertionError):
        ledger.end("promoted", {}, reason="too early")
    assert runs.get(run_id).state == "segmenter"


def test_what_belongs_to_the_end_happens_with_it_or_not_at_all(any_engine):
    runs = Runs(any_engine)
    run_id, ledger = taken(runs)
    move_to(ledger, "judged")

    def breaks(connection):
        connection.execute(sa.update(run_table).values(message="half done"))
        raise RunConflict("no")

    with pytest.raises(RunConflict):
        ledger.end("promoted", {"promoted": True}, reason="won", also=breaks)
    run = runs.get(run_id)
    assert (run.state, run.message) == ("judged", "")
    assert ledger.result("outcome") is None
    ledger.end("kept", {"promoted": False}, reason="lost")
    assert (runs.get(run_id).state, runs.active(1)) == ("kept", None)
    with pytest.raises(Cancelled):
        ledger.end("promoted", {}, reason="twice")


def test_a_cancelled_run_is_resumed_where_it_was_and_its_old_process_stays_out(any_engine):
    runs = Runs(any_engine)
    run_id, ledger = taken(runs)
    move_to(ledger, "detector")
    ledger.keep("dataset", {"name": "a"})
    runs.cancel(run_id, reason="by hand")
    with pytest.raises(Cancelled, match="is cancelled"):
        ledger.beat()
    with pytest.raises(RunConflict, match="already ended"):
        runs.cancel(run_id)
    runs.resume(run_id)
    with pytest.raises(Cancelled):
        ledger.beat()
    again = RunLedger(runs.engine, claim(runs, run_id, owner=ELSEWHERE))
    assert again.result("dataset") == {"name": "a"}
    with pytest.raises(RunConflict, match="active run"):
        runs.resume(run_id)


def test_a_run_is_not_resumed_beside_another_active_one_nor_after_it_was_judged(any_engine):
    runs = Runs(any_engine)
    first, ledger = taken(runs)
    ledger.fail(classify(MemoryError()))
    assert runs.get(first).failure == "out_of_memory"
    second, other = request(runs).run, None
    with pytest.raises(RunConflict, match=second):
        runs.resume(first)
    other = RunLedger(runs.engine, claim(runs, second, owner=DEAD))
    move_to(other, "judged")
    other.end("kept", {}, reason="no better")
    with pytest.raises(RunConflict, match="only failed and cancelled runs"):
        runs.resume(second)
    assert runs.resume(first).state == "queued"


def test_a_run_that_is_killed_repeatedly_without_progress_fails(engine):
    runs = Runs(engine)
    run_id = request(runs).run
    for attempt in itertools.count(1):
        if claim(runs, run_id, owner=f"{DEAD}{attempt}") is None:
            break
    run = runs.get(run_id)
    assert (run.state, run.failure, attempt) == ("failed", "killed", MAX_STALLED + 1)
    assert "lack of memory" in run.error


def test_a_run_that_makes_progress_may_be_killed_any_number_of_times(engine):
    runs = Runs(engine)
    run_id = request(runs).run
    for attempt in range(1, 3 * MAX_STALLED):
        ledger = RunLedger(engine, claim(runs, run_id, owner=f"{DEAD}{attempt}"))
        ledger.beat("detector", attempt / 100, "")
    assert runs.get(run_id).active


def test_progress_never_falls_and_estimates_the_remaining_time(engine):
    runs = Runs(engine)
    run_id, ledger = taken(runs)
    ledger.beat("detector", 0.5, "epoch 3")
    ledger.beat("detector", 0.25, "epoch 2 again")
    run = runs.get(run_id)
    assert (run.progress, run.message) == (0.5, "epoch 2 again")
    assert run.seconds_left(now=run.claimed_at + timedelta(seconds=100)) == 100.0
    assert "log" in {each.kind for each in runs.events(run_id)}


def test_quiet_hours_delay_a_run_until_a_person_requests_it(engine):
    runs, later = Runs(engine), datetime.now(UTC) + timedelta(hours=3)
    run_id = request(runs, not_before=later).run
    assert claim(runs, run_id, owner=DEAD) is None
    request(runs)
    assert claim(runs, run_id, owner=DEAD) is not None


def test_a_run_is_found_by_a_unique_prefix_of_its_id(engine):
    runs = Runs(engine)
    run_id = request(runs, run_id="retrain-1-abc").run
    request(runs, project=2, run_id="retrain-2-abd")
    assert runs.find("retrain-1").id == run_id
    assert runs.find(run_id).id == run_id
    for prefix, message in (
        ("retrain-", "several"),
        ("%", "no id"),
        ("", "several"),
        ("retrain-1-abcd", "no id"),
    ):
        with pytest.raises(UnknownRun, match=message):
            runs.find(prefix)


def test_an_exact_id_comes_before_the_ids_that_it_is_a_prefix_of(engine):
    runs = Runs(engine)
    for project, name in enumerate(
        ("retrain-1-abcd", "retrain-1-abce", "retrain-1-abcf", "retrain-1-abc"), 1
    ):
        request(runs, project=project, run_id=name)
    assert runs.find("retrain-1-abc").id == "retrain-1-abc"


@pytest.mark.parametrize("name", ["retrain-1", "retrain-1-ab", "RETRAIN-1-ABC", "retrain-1-abc ", "", "%"])
def test_only_the_full_id_of_a_run_cancels_or_resumes_it(engine, name):
    runs = Runs(engine)
    run_id = request(runs, run_id="retrain-1-abc").run
    for act in (runs.get, runs.cancel, runs.resume):
        with pytest.raises(UnknownRun, match="no run has the id"):
            act(name)
    assert runs.get(run_id).active


@given(st.sampled_from(STATES), st.sampled_from(STATES))
def test_no_state_is_left_for_good_but_by_the_rules(old, new):
    if may_follow(old, new):
        assert old not in ("promoted", "kept")
        assert new != "promoted" or old == "judged"
        assert old not in ("failed", "cancelled") or new == "queued"
