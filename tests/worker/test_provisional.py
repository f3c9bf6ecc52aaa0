"""From six corrected images to a provisional model that serves its project: Redis, a worker, a backend."""

from __future__ import annotations

import time
from pathlib import Path

import httpx
import pytest

from mammo.learning_curves import LearningCurves
from mammo.models import ProvisionalModels
from tests.retraining_site import FEW_CORRECTIONS, LONG, PASSWORD, PROJECT, make_template, opened, own_redis

pytestmark = [pytest.mark.slow, pytest.mark.e2e, pytest.mark.timeout(1500)]


def test_six_corrected_images_make_a_model_that_serves_their_project_only(tmp_path: Path) -> None:
    with own_redis() as redis, opened(tmp_path / "site", make_template(tmp_path / "template"), redis) as site:
        champion = site.registry.champion()
        site.start_backend()
        started = site.service().start(
            FEW_CORRECTIONS, recipe="provisional-smoke", reason="the test", trigger="cli"
        )
        run = site.wait(started.run, lambda run: not run.active, within=LONG)
        assert run.state == "provisional", (run, site.tail())
        version = ProvisionalModels(site.engine).versions()[FEW_CORRECTIONS]
        assert version.startswith("p")
        assert site.registry.champion() == champion
        site.backend.wait(serves=True)
        deadline = time.monotonic() + LONG
        while (served := _served(site.backend.url, FEW_CORRECTIONS)) != version:
            assert time.monotonic() < deadline, (served, version)
            time.sleep(0.5)
        assert _served(site.backend.url, PROJECT) == champion.version
        curve = LearningCurves(site.engine).newest(FEW_CORRECTIONS)
        assert curve is not None
        assert (curve["run"], len(curve["points"])) == (started.run, 1)


def _served(url: str, project: int) -> str:
    answer = httpx.post(
        f"{url}/setup",
        json={"project": f"{project}.1"},
        auth=("label-studio", PASSWORD),
        timeout=30,
        trust_env=False,
    )
    return str(answer.json().get("model_version"))
