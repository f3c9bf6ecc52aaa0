"""The steps of the demo are seen while they run, also where there is no terminal."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from cli.demo import steps as module
from cli.demo.steps import steps


def test_without_a_terminal_each_step_is_a_line_at_its_beginning_and_its_end(monkeypatch):
    monkeypatch.setattr(module, "LINE_SECONDS", 0.0)
    file = io.StringIO()
    with steps(Console(file=file)) as step, step("3 twins [and] tasks") as progress:
        assert file.getvalue() == "3 twins [and] tasks ...\n"
        progress(0.5, "2 of 4")
        assert file.getvalue().endswith("3 twins [and] tasks: 50% 2 of 4\n")
    assert file.getvalue().splitlines()[-1].startswith("3 twins [and] tasks: done in ")


def test_a_step_that_fails_is_not_said_to_be_done():
    file = io.StringIO()
    with pytest.raises(RuntimeError), steps(Console(file=file)) as step, step("4"):
        raise RuntimeError
    assert "done" not in file.getvalue()


def test_many_reports_are_few_lines():
    file = io.StringIO()
    with steps(Console(file=file)) as step, step("5") as progress:
        for number in range(1000):
            progress(number / 1000, "")
    assert len(file.getvalue().splitlines()) == 2
