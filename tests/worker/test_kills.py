"""A retrain whose processes are killed ends as one that is left alone. `--kills 30` for the long run, `-s` to see it.

Real processes: `python -m worker`, its work-horse, a Redis with an append-only file. What a service manager would start
again is started again; what every backend does every 15 s, sending lost runs on, is done here.
"""

from __future__ import annotations

import random
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from mammo.models import CHALLENGER
from mammo.runs import Run
from tests.retraining_site import LONG, RetrainingSite, Template, make_template, opened, own_redis

pytestmark = [pytest.mark.slow, pytest.mark.e2e, pytest.mark.timeout(3000)]

KINDS = ("work-horse", "worker", "worker and work-horse", "Redis")
SCHEDULE_SECONDS = 15.0
"""So often every backend looks for lost runs."""

STAGES = {"dataset", "detector", "segmenter", "registered", "champion", "challenger", "verdict", "outcome"}
STATES = ["queued", "building", "detector", "segmenter", "evaluating", "judged", "promoted"]
NAMING = frozenset({"run", "version", "reason", "seconds", "record"})
"""What two runs may differ in: names, also within a reason or a record, and how long they took."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "number" in metafunc.fixturenames:
        metafunc.parametrize("number", range(metafunc.config.getoption("--kills")))


@dataclass(frozen=True)
class Undisturbed:
    """A run that nothing happened to."""

    seconds: float
    results: dict[str, dict[str, Any]]


@dataclass(frozen=True)
class Kill:
    """What was killed, when, and what became of it."""

    number: int
    kind: str
    moment: str
    """State and progress of the run."""

    seconds: float
    """Until the run went on: was taken up again, or gave a sign of life."""

    attempts: int
    state: str

    def __str__(self) -> str:
        return f"| {self.number} | {self.kind} | {self.moment} | {self.seconds:.0f} | {self.attempts} | {self.state} |"


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    return make_template(tmp_path_factory.mktemp("template"))


@pytest.fixture(scope="module")
def undisturbed(template, tmp_path_factory):
    return leave_alone(template, tmp_path_factory.mktemp("undisturbed"))


def test_a_retrain_ends_the_same_whatever_is_killed_in_it(
    number, template, undisturbed, tmp_path, record_property
):
    killed = kill_once(number, template, undisturbed, tmp_path)
    record_property("kill", str(killed))
    print(killed)


def leave_alone(template: Template, folder: Path) -> Undisturbed:
    with own_redis() as redis, opened(folder, template, redis) as site:
        began = time.monotonic()
        run = site.ask()
        ended = site.wait(run, lambda each: not each.active, within=LONG)
        seconds = time.monotonic() - began
        check(site, run, ended)
        return Undisturbed(seconds, site.runs.results(run))


def kill_once(number: int, template: Template, undisturbed: Undisturbed, folder: Path) -> Kill:
    """One run in which something is killed at a moment drawn by `number`, and all that must hold at its end."""
    kind, dice = KINDS[number % len(KINDS)], random.Random(number)
    with own_redis() as redis, opened(folder, template, redis) as site:
        run = site.ask()
        time.sleep(dice.uniform(0, undisturbed.seconds))
        if "work-horse" in kind:
            site.wait(run, lambda each: bool(site.horses()) or not each.active, within=LONG)
        if (
            kind == "worker and work-horse"
        ):  # a colleague has to find the job; the dead worker does not come back
            site.start_worker()
        horses = site.horses() if "work-horse" in kind else []
        if "worker" in kind.split():
            site.workers[0].kill()
        for horse in horses:
            horse.kill()
        killed_at = time.monotonic()
        before, kept = site.runs.get(run), site.runs.results(run)
        if kind == "Redis":
            redis.kill()
            time.sleep(dice.uniform(0, 3))
            redis.start()
        if kind == "worker":
            site.workers[0].wait()
            site.start_worker()
        again = site.wait_sending(
            run, lambda each: _goes_on(each, before, horses), every=SCHEDULE_SECONDS, within=LONG
        )
        seconds = time.monotonic() - killed_at
        ended = site.wait_sending(run, lambda each: not each.active, every=SCHEDULE_SECONDS, within=LONG)
        check(site, run, ended)
        results = site.runs.results(run)
        assert {stage: results[stage] for stage in kept} == kept, "what was done is not done again"
        for stage, result in results.items():
            assert _nameless(result) == _nameless(undisturbed.results[stage]), stage
        moment = f"{before.state} {before.progress:.0%}"
        return Kill(number, kind, moment, seconds, again.attempt, ended.state)


def check(site: RetrainingSite, run: str, ended: Run) -> None:
    """What holds at the end of every run of this site, whatever happened to it."""
    assert (ended.state, ended.error) == ("promoted", None), site.tail()
    status = site.wait_for_job(run, within=300)
    assert status.state == "finished", (status, site.tail())
    results = site.runs.results(run)
    assert set(results) == STAGES
    assert status.result == results["outcome"]
    assert [each.state for each in site.runs.events(run) if each.kind == "state"] == STATES
    challenger = results["outcome"]["challenger"]
    champions = [move.version for move in site.registry.history()]
    assert champions[2:] == [challenger], "the starter, the site's first champion, and one promotion"
    trained = [move.version for move in site.registry.history(CHALLENGER)]
    assert trained == [challenger], "one move"
    assert site.registry.versions()[2:] == [challenger]
    assert [note.kind for note in site.registry.notes(challenger)][-1:] == ["verdict"]
    while site.horses():  # the prelabels of the new champion, which fail at once: there is no Label Studio
        time.sleep(0.5)
    site.stop()
    assert site.processes() == [], "nobody is left behind"


def _goes_on(now: Run, before: Run, killed: list[Any]) -> bool:
    """A work-horse that was killed has a successor, one that lives gives a sign."""
    if not now.active:
        return True
    if killed:
        return now.attempt > before.attempt
    return now.heartbeat_at is not None and now.heartbeat_at != before.heartbeat_at


def _nameless(found: Any) -> Any:
    """JSON without names."""
    if isinstance(found, dict):
        named = NAMING | ({"challenger"} if isinstance(found.get("challenger"), str) else set())
        return {key: _nameless(value) for key, value in found.items() if key not in named}
    return [_nameless(each) for each in found] if isinstance(found, list) else found
