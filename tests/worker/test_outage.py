"""Redis is away while a retrain runs and the backend is asked for more: nothing is lost. `--outage 30` in full.

Real processes: backend, worker and Redis; what Label Studio sends is sent as it sends it.
"""

from __future__ import annotations

import json
import time
from contextlib import closing
from typing import Any

import httpx
import pytest

from mammo.annotations import AnnotationStore
from tests.retraining_site import LONG, PASSWORD, PROJECT, make_template, opened, own_redis

pytestmark = [pytest.mark.slow, pytest.mark.e2e, pytest.mark.timeout(3000)]

OTHER = PROJECT + 1
"""A project of which nothing is known before the outage."""


def ask_for_run(url: str, project: int, **order: str) -> dict[str, Any]:
    """The answer to a request for a run, which is kept although the queue is away."""
    answer = httpx.post(
        f"{url}/projects/{project}/runs",
        json={"reason": "while the queue is away", **order},
        auth=("label-studio", PASSWORD),
        timeout=60,
        trust_env=False,
    )
    assert answer.status_code == 202, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_an_outage_of_the_queue_loses_no_run_no_trigger_and_no_correction(request, tmp_path, record_property):
    seconds = request.config.getoption("--outage")
    template = make_template(tmp_path / "template")
    with own_redis() as redis, opened(tmp_path / "site", template, redis) as site:
        site.start_backend()
        run = site.ask()
        site.wait(run, lambda each: each.state == "detector", within=LONG)
        site.backend.wait()

        redis.kill()
        away_at = time.monotonic()
        correction, *others = template.events[-1], *template.events[:2]
        assert site.backend.send(json.dumps(correction).encode()).status_code == 201
        for each in others:  # another project has its first corrections, and somebody asks for its first run
            body = each | {"project": {"id": OTHER}, "annotation": each["annotation"] | {"project": OTHER}}
            assert site.backend.send(json.dumps(body).encode()).status_code == 201
        started = ask_for_run(site.backend.url, OTHER, recipe="provisional")
        assert started["created"]
        again = ask_for_run(site.backend.url, PROJECT)
        assert (again["run"], again["created"]) == (run, False)
        time.sleep(max(0.0, seconds - (time.monotonic() - away_at)))
        redis.start()
        back_at = time.monotonic()

        ended = site.wait(run, lambda each: not each.active, within=LONG)
        assert (ended.state, ended.error, ended.attempt) == ("promoted", None, 1), site.tail()
        assert site.wait_for_job(run, within=300).state == "finished"
        (other,) = site.runs.newest(project=OTHER)
        found = site.wait(other.id, lambda each: not each.active, within=LONG)
        assert (found.id, found.state, found.failure) == (started["run"], "failed", "bad_data"), (
            "a worker took it up, and two are too few"
        )
        assert found.claimed_at is not None
        record_property(
            "seconds_until_the_run_asked_for_in_the_outage_ended", round(time.monotonic() - back_at)
        )
        assert site.workers[0].poll() is None, "the worker survived"
        with closing(AnnotationStore(site.engine)) as store:
            assert len(store.corrections(PROJECT)) == len(template.events)
            assert len(store.corrections(OTHER)) == len(others)
        site.stop()
