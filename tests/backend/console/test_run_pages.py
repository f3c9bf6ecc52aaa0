"""What the page of a run says."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from backend.console.run_pages import stage_times, training_curves, verdict_rows
from mammo.runs import RunEvent, State

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def event(number: int, state: State | None) -> RunEvent:
    at = NOON + timedelta(minutes=number)
    return RunEvent(id=number, run="r", at=at, kind="state" if state else "log", state=state, text="")


def test_a_stage_lasts_until_the_next_and_the_last_until_now() -> None:
    events = [event(0, "queued"), event(1, None), event(2, "building"), event(5, "detector")]
    times = stage_times(events, now=NOON + timedelta(minutes=9))
    assert [(each.name, each.seconds) for each in times] == [
        ("waiting for a worker", 120),
        ("building the dataset version", 180),
        ("training the detector", 240),
    ]


def test_the_end_of_a_run_lasts_no_time_and_a_run_without_states_has_no_stages() -> None:
    assert stage_times([event(0, "queued"), event(1, "failed")])[-1].seconds is None
    assert stage_times([event(0, None)]) == []
    assert stage_times([]) == []


def test_a_verdict_is_two_columns_and_nan_is_blank() -> None:
    verdict = {"champion": {"version": "a", "dice": 0.5}, "challenger": {"version": "b", "dice": None}}
    assert verdict_rows(verdict) == [("Dice, all lesions", 0.5, None)]
    assert verdict_rows({}) == []


def test_losses_and_scores_of_a_training_are_charts_with_their_best_values() -> None:
    detector = {
        "box loss": [(1, 2.0), (2, 1.0), (3, 1.5)],
        "validation AP50": [(1, 0.2), (2, 0.6), (3, 0.5)],
    }
    loss, score = training_curves({"detector": detector})
    assert (loss.title, loss.rows) == ("Detector: loss", [("box loss", 2.0, 1.5, 1.0, 2)])
    assert (score.title, score.rows) == ("Detector: validation score", [("AP50", 0.2, 0.5, 0.6, 2)])
    assert score.chart.count("<circle") == 4, "three points, and one in the key"
    assert training_curves({}) == []
