"""Figures that are computed in the background."""

from __future__ import annotations

import threading
import time
from datetime import timedelta
from types import SimpleNamespace

import pytest

from backend.refreshed import Refreshed
from mammo.errors import StorageUnavailable


def waited(figures: Refreshed[int, int], key: int) -> object:
    for _ in range(500):
        figure = figures.get(key)
        if figure.at is not None:
            return figure
        time.sleep(0.01)
    raise AssertionError("never computed")


def test_a_slow_figure_keeps_nobody_waiting_and_is_there_later() -> None:
    go_on = threading.Event()
    figures: Refreshed[int, int] = Refreshed(lambda key: key * 2 if go_on.wait(20) else 0, patience=0.0)
    assert figures.get(21).value is None
    go_on.set()
    assert waited(figures, 21).value == 42  # type: ignore[attr-defined]
    figures.close()


def test_a_later_look_does_not_wait_for_what_was_asked_for_long_ago(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, go_on = [0.0], threading.Event()
    monkeypatch.setattr("backend.refreshed.time", SimpleNamespace(monotonic=lambda: clock[0]))
    figures: Refreshed[int, int] = Refreshed(lambda key: key if go_on.wait(20) else 0, patience=15)
    assert figures.get(21, patience=0.0).value is None
    clock[0] = 15.0
    assert figures.get(21).value is None
    go_on.set()
    figures.close()


def test_a_quick_figure_is_there_at_the_first_look_and_kept() -> None:
    calls: list[int] = []
    figures: Refreshed[int, int] = Refreshed(lambda key: calls.append(key) or len(calls), patience=20)  # type: ignore[func-returns-value]
    assert [figures.get(1).value, figures.get(1).value] == [1, 1]
    figures.close()


def test_an_old_figure_is_shown_while_it_is_computed_again() -> None:
    calls: list[int] = []
    again = threading.Event()

    def compute(key: int) -> int:
        calls.append(key)
        if len(calls) == 2:
            again.wait(20)
        return len(calls)

    figures: Refreshed[int, int] = Refreshed(compute, every=timedelta(0), patience=20)
    assert figures.get(1).value == 1
    assert figures.get(1).value == 1, "the second is being computed"
    again.set()
    figures.close()


def test_a_problem_is_its_sentence_and_a_bug_tells_nothing() -> None:
    def compute(key: int) -> int:
        raise StorageUnavailable("the disk is full") if key else RuntimeError("PatientName=Doe")

    figures: Refreshed[int, int] = Refreshed(compute, patience=20)
    assert figures.get(1).problem == "the disk is full"
    assert "Doe" not in figures.get(0).problem
    figures.close()


def test_whoever_asks_for_figures_of_anything_fills_no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("backend.refreshed.MAX_FIGURES", 2)
    figures: Refreshed[int, int] = Refreshed(lambda key: key, patience=20)
    assert [figures.get(key).value for key in range(5)] == [0, 1, 2, 3, 4]
    assert list(figures._figures) == list(figures._stamps) == [3, 4]
    figures.close()
