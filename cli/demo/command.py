"""`yolo-mlsam demo`: run the walk with progress bars, report, keep serving until Ctrl-C."""

from __future__ import annotations

import shutil
import signal
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from types import FrameType
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from cli.demo.processes import Supervisor
from cli.demo.stack import Stack, finish_stack, launch_stack
from cli.demo.walk import Reading, Walk
from mammo.errors import MammoError
from mammo.phantom import vendor_b
from training import cases as training_cases
from training.cases import Case
from training.phantom_cases import write_phantom_patients

POSITIVE = 0.85
"""Share of phantom breasts with clusters: a demo of a screening rate would need thousands of patients."""

UNSEEN = 2
"""Patients that no round corrects before the end: the before/after of the edit effort is measured on them."""

FIRST_ROUND = 7
"""Fewest patients of the first round: of so many, two are held out, the least that the demo's gate judges on."""


@dataclass(frozen=True, kw_only=True)
class DemoOptions:
    """What the command line asked for."""

    label_studio: Path
    patients: int
    rounds: int
    port: int
    keep: Path | None
    exit: bool
    recipe: str
    seed: int


def run_demo(options: DemoOptions) -> int:
    """Run the whole loop; returns 0 only if every step really happened.

    Raises:
        MammoError: a step failed; everything that was started is stopped by then.
    """
    fewest = FIRST_ROUND + options.rounds - 1 + UNSEEN
    if options.patients < fewest:
        raise MammoError(f"--patients {options.patients}: {options.rounds} rounds need at least {fewest}")
    console = Console()
    for name in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(name, _interrupt)
    began = time.monotonic()
    try:
        with _folder(options.keep) as folder, Supervisor(folder / "logs") as supervisor:
            console.print(f"Everything lies in {folder} (logs in {folder / 'logs'})")
            memory = _watch_memory(supervisor)
            walk, report, version = _turn_the_loop(options, folder, supervisor, console)
            console.print(f"Report: {report}")
            console.print(
                f"Took {(time.monotonic() - began) / 60:.1f} min; memory at most {memory() / 2**30:.1f} GiB (RSS)"
            )
            _invite(console, walk, version)
            if not options.exit:
                _wait_for_ctrl_c()
            console.print("Stopping ...")
    except KeyboardInterrupt:
        console.print("Stopped before the end.")
        return 130
    return 0


def _wait_for_ctrl_c() -> None:
    try:
        while True:
            signal.pause()
    except KeyboardInterrupt:
        return


def _turn_the_loop(
    options: DemoOptions, folder: Path, supervisor: Supervisor, console: Console
) -> tuple[Walk, Path, str]:
    from cli.demo.report import Comparison, summary_table, write_report

    stack = launch_stack(
        supervisor,
        folder,
        label_studio=options.label_studio,
        port=options.port,
        recipe=options.recipe,
        patient_secret=f"phantom patients from seed {options.seed}",  # nobody's secret: the same run each time
    )
    with _bars(console) as step:
        with step("1 phantom patients as DICOM (Label Studio starts meanwhile)") as tell:
            cases = _phantoms(options, stack, tell)
        with step("  Label Studio, backend and worker are up"):
            finish_stack(stack)
        walk = Walk.on(stack)
        with step("3 project, labeling config, ML backend, webhook"):
            walk.create_project()
        with step("2 twins and tasks") as tell:
            walk.import_cases(cases, tell)
        with step("4 prelabel every task") as tell:
            walk.prelabel(tell)
            first = walk.version()
            assert walk.ask_backend(min(walk.cases))["model_version"] == first
        *batches, unseen = _batches(walk, options.rounds)
        version, results = first, []
        for number, tasks in enumerate(batches, 1):
            with step(f"5 the expert corrects (round {number})") as tell:
                walk.read(tasks, version, tell)
            with step(f"6 train, evaluate, judge (round {number})") as tell:
                result = walk.train(tell)
                results.append(result)
            if result["verdict"]["promote"]:
                version = result["challenger"]
                with step(f"7 hot reload of {version}"):
                    walk.expect_reload(version)
                with step("7 new predictions beside the old ones") as tell:
                    walk.expect_refresh(version, tell)
            else:
                console.print(f"The gate keeps {version}: {result['verdict']['reason']}")
        with step("8 unseen patients, read with the new prelabels") as tell:
            before = _readings(walk, unseen, first)
            after = walk.read(unseen, version, tell)
    comparison = Comparison(first, version, before, after)
    console.print(summary_table([result["verdict"] for result in results], comparison))
    for result in results:
        console.print(f"Verdict: {result['verdict']['reason']}")
    report = folder / "report.png"
    write_report(report, comparison, walk.cases)
    if options.keep is None:
        report = Path(shutil.copy(report, Path.cwd() / "demo-report.png"))
    return walk, report, version


def _phantoms(options: DemoOptions, stack: Stack, tell: training_cases.Progress) -> list[Case]:
    assert stack.settings.mammogram_root is not None
    return write_phantom_patients(
        stack.settings.mammogram_root,
        seeds=range(options.seed, options.seed + options.patients),
        appearance=vendor_b(),  # another vendor than the starter was trained on: there is something to learn
        positive=POSITIVE,
        patient_secret=stack.settings.patient_secret.get_secret_value().encode(),
        progress=tell,
    )


def _batches(walk: Walk, rounds: int) -> list[list[int]]:
    """Task ids for each round, whole patients only, and last the unseen ones."""
    patients: dict[str, list[int]] = {}
    for task, case in sorted(walk.cases.items()):
        patients.setdefault(case.patient, []).append(task)
    keys = list(patients)
    seen, unseen = keys[:-UNSEEN], keys[-UNSEEN:]
    share = (len(seen) - FIRST_ROUND) // max(rounds - 1, 1)
    cuts = [0, *(len(seen) - share * (rounds - turn) for turn in range(1, rounds + 1))]
    groups = [seen[start:end] for start, end in pairwise(cuts)]
    return [[task for key in group for task in patients[key]] for group in [*groups, unseen]]


def _readings(walk: Walk, tasks: list[int], version: str) -> list[Reading]:
    """What the expert would have done with the first model's prelabels; nothing is submitted."""
    found = []
    for task in tasks:
        prediction = next(p for p in walk.client.predictions(task) if p["model_version"] == version)
        found.append(walk.reading(task, prediction))
    return found


def _invite(console: Console, walk: Walk, version: str) -> None:
    server = walk.stack.label_studio
    console.print(f"\nLabel Studio: {server.url}/projects/{walk.project}/data", style="bold")
    console.print(f"  login {server.email}   password {server.password}")
    console.print(f"  backend {walk.stack.backend_url} serves {version}")
    console.print("Ctrl-C stops everything.\n")


@contextmanager
def _folder(keep: Path | None) -> Iterator[Path]:
    """The demo's folder: the one to keep, or a temporary one that goes away."""
    if keep is None:
        with tempfile.TemporaryDirectory(prefix="yolo-mlsam-demo-", ignore_cleanup_errors=True) as folder:
            yield Path(folder)
        return
    if keep.exists() and any(keep.iterdir()):
        raise MammoError(f"--keep {keep}: the folder is not empty; name a new one")
    keep.mkdir(parents=True, exist_ok=True)
    yield keep.resolve()


@contextmanager
def _bars(console: Console) -> Iterator[Any]:
    """Gives `step(title)`, a context manager with a bar; its value tells a fraction and a message."""
    columns = (
        TextColumn("{task.description:<58}"),
        BarColumn(bar_width=20),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        TextColumn("[dim]{task.fields[message]}"),
    )
    with Progress(*columns, console=console) as progress:

        @contextmanager
        def step(title: str) -> Iterator[training_cases.Progress]:
            bar = progress.add_task(title, total=1.0, message="")

            def tell(fraction: float, message: str) -> None:
                progress.update(bar, completed=fraction, message=message)

            yield tell
            progress.update(bar, completed=1.0, message="")
            progress.stop_task(bar)

        yield step


def _watch_memory(supervisor: Supervisor) -> Any:
    """Sample the memory of all our processes once a second; the value returned gives the peak, in bytes."""
    peak = [0]

    def sample() -> None:
        while True:
            peak[0] = max(peak[0], supervisor.rss_bytes())
            time.sleep(1.0)

    threading.Thread(target=sample, daemon=True, name="memory").start()
    return lambda: peak[0]


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
