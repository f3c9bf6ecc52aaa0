"""One real stack for all end-to-end tests: Redis, Label Studio, backend, worker, and Chromium to look at it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cli.demo.processes import Processes
from cli.demo.stack import Stack, finish_stack, launch_stack
from cli.demo.walk import Walk
from mammo.phantom import vendor_b
from tests.chromium import chromium
from tests.required import missing
from training.cases import silent
from training.phantom_cases import write_phantom_patients

if TYPE_CHECKING:
    from playwright.sync_api import Browser

ROOT = Path(__file__).parent.parent.parent
LABEL_STUDIO = ROOT / ".venv-label-studio/bin/label-studio"
ARTIFACTS = ROOT / "artifacts"
SEEDS = range(9100, 9107)
"""Seven patients: two of them are held out, the least that the demo's gate judges on."""
SMALL = replace(vendor_b(), width=800, height=960)
"""Part of a breast: whole views would be drawn and predicted for two minutes more, and show no more of the loop."""


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Everything running, phantoms written as DICOM, nothing imported yet."""
    if not LABEL_STUDIO.is_file():
        missing("Label Studio", "run `make test`, which installs it")
    folder = tmp_path_factory.mktemp("e2e")
    with (
        Processes(folder / "logs") as processes,
        launch_stack(
            processes,
            folder,
            label_studio=LABEL_STUDIO,
            port=0,
            recipe="smoke",
            patient_secret="the end-to-end tests",
        ) as stack,
    ):
        try:
            yield stack
        finally:
            ARTIFACTS.mkdir(exist_ok=True)
            shutil.copytree(folder / "logs", ARTIFACTS / "logs", dirs_exist_ok=True)


@pytest.fixture(scope="session")
def running_stack(stack: Stack) -> Stack:
    """All of it answers."""
    finish_stack(stack)
    return stack


@pytest.fixture(scope="session")
def walk(stack: Stack, request: pytest.FixtureRequest) -> Walk:
    """A project whose tasks are imported and prelabelled."""
    settings = stack.settings
    assert settings.mammogram_root is not None
    cases = write_phantom_patients(
        settings.mammogram_root,
        seeds=SEEDS,
        appearance=SMALL,
        positive=0.9,
        patient_secret=settings.patient_secret.get_secret_value().encode(),
        progress=silent,
    )
    request.getfixturevalue("running_stack")  # Label Studio starts while the phantoms are drawn
    walk = Walk(stack)
    walk.create_project()
    walk.import_cases(cases, silent)
    walk.prelabel(silent)
    return walk


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with chromium() as running:
        yield running
