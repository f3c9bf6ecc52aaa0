"""`yolo-mlsam demo`: run the walk with progress bars, write the report, and serve until Ctrl-C."""

from __future__ import annotations

import shutil
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from types import FrameType
from typing import Any

from rich.console import Console

from cli.demo.processes import Processes, resident_bytes
from cli.demo.report import Comparison, summary_table, write_report
from cli.demo.stack import Stack, finish_stack, launch_stack
from cli.demo.steps import Step, steps
from cli.demo.walk import Reading, Walk
from mammo.errors import MammoError
from mammo.phantom import vendor_b
from training import cases as training_cases
from training.cases import Case
from training.phantom_cases import write_phantom_patients

POSITIVE = 0.85
"""Probability that a phantom breast has clusters: with a screening rate, the demo would need thousands of patients."""

NUM_UNSEEN = 2
"""Patients that no round corrects: the edit effort before and after is measured on them."""

MIN_FIRST_ROUND = 7
"""Patients of the first round: the split holds two of them out, the minimum of the demo's gate."""


@dataclass(frozen=True, kw_only=True)
class DemoOptions:
    """Options of the command."""

    label_studio: Path
    patients: int
    rounds: int
    port: int
    keep: Path | None
    exit: bool
    recipe: str
    seed: int


def run_demo(options: DemoOptions) -> int:
    """Run the whole loop; return 0 only if every step really happened.

    Raises:
        MammoError: a step failed; every started process has been stopped.
    """
    min_patients = MIN_FIRST_ROUND + options.rounds - 1 + NUM_UNSEEN
    if options.patients < min_patients:
        raise MammoError(
            f"--patients is {options.patients}; {options.rounds} round(s) need at least {min_patients}"
        )
    console = Console()
    for name in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(name, _interrupt)
    started_at = time.monotonic()
    try:
        with _folder(options.keep) as folder, Processes(folder / "logs") as processes:
            console.print(f"All files are in {folder}, logs in {folder / 'logs'}")
            peak_memory = _watch_memory()
            walk, report, version = _run_loop(options, folder, processes, console)
            console.print(f"Report: {report}")
            console.print(
                f"Took {(time.monotonic() - started_at) / 60:.1f} min; "
                f"peak memory {peak_memory() / 2**30:.1f} GiB (RSS)"
            )
            _print_addresses(console, walk.stack, walk.project)
            console.print(f"The backend serves {version}. Ctrl-C stops everything.\n")
            if not options.exit:
                _wait_for_ctrl_c()
            console.print("Stopping ...")
    except KeyboardInterrupt:
        console.print("Interrupted; all processes are stopped.")
        return 130
    return 0


def _wait_for_ctrl_c() -> None:
    try:
        while True:
            signal.pause()
    except KeyboardInterrupt:
        return


def _run_loop(
    options: DemoOptions, folder: Path, processes: Processes, console: Console
) -> tuple[Walk, Path, str]:
    """Return the finished walk, the report's file, and the champion at the end."""
    stack = launch_stack(
        processes,
        folder,
        label_studio=options.label_studio,
        port=options.port,
        recipe=options.recipe,
        # Phantoms need no secrecy, and a fixed key repeats the same folds.
        patient_secret=f"phantom patients from seed {options.seed}",
    )
    _print_addresses(console, stack)
    with steps(console) as step:
        with step("1 phantom patients as DICOM (Label Studio starts meanwhile)") as progress:
            cases = _phantoms(options, stack, progress)
        with step("  Label Studio, backend and worker are up"):
            finish_stack(stack)
        walk = Walk.on(stack)
        with step("2 project, labeling config, ML backend, webhook"):
            walk.create_project()
        with step("3 twins and tasks") as progress:
            walk.import_cases(cases, progress)
        with step("4 prelabel every task") as progress:
            walk.prelabel(progress)
            first = walk.version()
            assert walk.ask_backend(min(walk.cases))["model_version"] == first
        *batches, unseen = _batches(walk, options.rounds)
        version, verdicts = first, []
        for number, tasks in enumerate(batches, 1):
            version, verdict = _run_round(walk, number, tasks, version, step=step, console=console)
            verdicts.append(verdict)
        with step("8 unseen patients, read with the new prelabels") as progress:
            before = _readings(walk, unseen, first)
            after = walk.read(unseen, version, progress)
    report = _report(Comparison(first, version, before, after), verdicts, walk, folder, console)
    if options.keep is None:
        report = Path(shutil.copy(report, Path.cwd() / "demo-report.png"))
    return walk, report, version


def _run_round(
    walk: Walk, number: int, tasks: list[int], version: str, *, step: Step, console: Console
) -> tuple[str, dict[str, Any]]:
    """Correct some tasks and retrain; return the version that serves afterwards, and the verdict."""
    with step(f"5 the expert corrects (round {number})") as progress:
        walk.read(tasks, version, progress)
    with step(f"6 train, evaluate, judge (round {number})") as progress:
        outcome = walk.train(progress)
    verdict = outcome["verdict"]
    if not verdict["promote"]:
        console.print(f"The gate keeps {version}: {verdict['reason']}")
        return version, verdict
    challenger = outcome["challenger"]
    with step(f"7 hot reload of {challenger}"):
        walk.expect_reload(challenger)
    with step("7 new predictions beside the old ones") as progress:
        walk.expect_refresh(challenger, progress)
    return challenger, verdict


def _report(
    comparison: Comparison, verdicts: list[dict[str, Any]], walk: Walk, folder: Path, console: Console
) -> Path:
    console.print(summary_table(verdicts, comparison))
    for verdict in verdicts:
        console.print(f"Verdict: {verdict['reason']}")
    report = folder / "report.png"
    write_report(report, comparison, walk.cases)
    return report


def _phantoms(options: DemoOptions, stack: Stack, progress: training_cases.Progress) -> list[Case]:
    assert stack.settings.mammogram_root is not None
    return write_phantom_patients(
        stack.settings.mammogram_root,
        seeds=range(options.seed, options.seed + options.patients),
        appearance=vendor_b(),  # the starter was trained on vendor_a, so there is something to learn
        positive=POSITIVE,
        patient_secret=stack.settings.patient_secret.get_secret_value().encode(),
        progress=progress,
    )


def _batches(walk: Walk, rounds: int) -> list[list[int]]:
    """Return the task ids of each round, whole patients only, and last those of the unseen patients."""
    patients: dict[str, list[int]] = {}
    for task, case in sorted(walk.cases.items()):
        patients.setdefault(case.patient, []).append(task)
    keys = list(patients)
    seen, unseen = keys[:-NUM_UNSEEN], keys[-NUM_UNSEEN:]
    share = (len(seen) - MIN_FIRST_ROUND) // max(rounds - 1, 1)
    cuts = [0, *(len(seen) - share * (rounds - turn) for turn in range(1, rounds + 1))]
    groups = [seen[start:end] for start, end in pairwise(cuts)]
    return [[task for key in group for task in patients[key]] for group in [*groups, unseen]]


def _readings(walk: Walk, tasks: list[int], version: str) -> list[Reading]:
    """Return the expert's corrections of one version's predictions, without submitting them."""
    readings = []
    for task in tasks:
        prediction = next(p for p in walk.client.predictions(task) if p["model_version"] == version)
        readings.append(walk.reading(task, prediction))
    return readings


def _print_addresses(console: Console, stack: Stack, project: int | None = None) -> None:
    server = stack.label_studio
    path = "" if project is None else f"/projects/{project}/data"
    console.print(f"\nLabel Studio: {server.url}{path}", style="bold", soft_wrap=True)
    console.print(f"  login {server.email}   password {server.password}", soft_wrap=True)
    console.print(f"  backend {stack.backend_url}", soft_wrap=True)
    console.print(
        f"  in another terminal: yolo-mlsam --site {stack.settings.site} runs list\n", soft_wrap=True
    )


@contextmanager
def _folder(keep: Path | None) -> Iterator[Path]:
    """Yield the demo's folder: `keep`, or a temporary one that is deleted at the end."""
    if keep is None:
        with tempfile.TemporaryDirectory(prefix="yolo-mlsam-demo-", ignore_cleanup_errors=True) as folder:
            yield Path(folder)
        return
    if keep.exists() and any(keep.iterdir()):
        raise MammoError(f"--keep {keep} is not empty; name a new or empty folder")
    keep.mkdir(parents=True, exist_ok=True)
    yield keep.resolve()


def _watch_memory() -> Callable[[], int]:
    """Sample the memory of all processes once a second; return a function that gives the peak in bytes."""
    peak = [0]

    def sample() -> None:
        while True:
            peak[0] = max(peak[0], resident_bytes())
            time.sleep(1.0)

    threading.Thread(target=sample, daemon=True, name="memory").start()
    return lambda: peak[0]


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
