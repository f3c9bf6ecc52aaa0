"""`yolo-mlsam demo`: run the walk with progress bars, write the report, and serve until Ctrl-C."""

from __future__ import annotations

import shutil
import signal
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from types import FrameType

from rich.console import Console

from cli.demo.processes import Processes, resident_bytes
from cli.demo.report import Comparison, Round, summary_table, write_report
from cli.demo.stack import Stack, finish_stack, launch_stack
from cli.demo.steps import Step, steps
from cli.demo.walk import Reading, StepFailed, Walk
from cli.pages import write_page
from mammo.efforts.edit_effort import total_effort
from mammo.errors import MammoError
from mammo.phantom import vendor_b
from mammo.verdicts.report import write_report as write_verdict
from training import cases as training_cases
from training.cases import Case
from training.phantom_cases import write_phantom_patients

POSITIVE = 0.85
"""Probability that a phantom breast has clusters: with a screening rate, the demo would need thousands of patients."""

VERDICT = "verdict.html"
"""File of the last verdict, with pictures of what champion and challenger found and missed."""

NUM_UNSEEN = 2
"""Patients that no round corrects: the edit effort before and after is measured on them."""

MIN_FIRST_ROUND = 7
"""Patients of the first round: with fewer there is hardly anything to learn from."""

HELD_OUT_VIEWS = 2
"""Of a held-out patient, those of one breast: the gate draws patients, so it learns more from patients than views."""


@dataclass(frozen=True, kw_only=True)
class DemoOptions:
    """Options of the command."""

    label_studio: Path
    patients: int
    """That are corrected, or read at the end."""

    held_out: int
    """Patients on whom the gate judges."""

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
            with launch_stack(
                processes,
                folder,
                label_studio=options.label_studio,
                port=options.port,
                recipe=options.recipe,
                # Phantoms need no secrecy, and a fixed key repeats the same folds.
                patient_secret=f"phantom patients from seed {options.seed}",
            ) as stack:
                _print_addresses(console, stack)
                walk, report, version = _run_loop(options, folder, stack, console)
                console.print(f"Report: {report}", soft_wrap=True)
                verdict = report.with_name(report.name.replace("report.png", VERDICT))
                console.print(f"Verdict with pictures: {verdict}", soft_wrap=True)
                minutes = (time.monotonic() - started_at) / 60
                console.print(f"Took {minutes:.1f} min; peak memory {peak_memory() / 2**30:.1f} GiB (RSS)")
                _print_addresses(console, stack, walk.project)
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


def _run_loop(options: DemoOptions, folder: Path, stack: Stack, console: Console) -> tuple[Walk, Path, str]:
    """Return the finished walk, the report's file, and the champion at the end."""
    with steps(console) as step:
        with step("1 phantom patients as DICOM (Label Studio starts meanwhile)") as progress:
            cases, held_out = _phantoms(options, stack, progress)
        with step("  Label Studio, backend and worker are up"):
            finish_stack(stack)
        walk = Walk(stack)
        with step("2 project, labeling config, ML backend, webhook"):
            walk.create_project()
        with step("3 twins and tasks") as progress:
            walk.import_cases(cases, progress)
        with step("4 prelabel every task") as progress:
            walk.prelabel(progress)
            first = walk.version()
            assert walk.ask_backend(min(walk.cases))["model_version"] == first
        *batches, unseen = _batches(walk, options.rounds)
        with step(f"  {options.held_out} more patients, held out with their known truth") as progress:
            walk.hold_out(held_out, progress)
        version, rounds = first, []
        for number, tasks in enumerate(batches, 1):
            version, ended = _run_round(walk, number, tasks, version, step=step, console=console)
            judged = ended.verdict["num_patients"]
            if judged < options.held_out:
                raise StepFailed(f"the gate judged on {judged} patients, but {options.held_out} are held out")
            rounds.append(ended)
        with step("8 unseen patients, read with the new prelabels") as progress:
            before = _readings(walk, unseen, first)
            after = walk.read(unseen, version, progress)
    report = _report(Comparison(first, version, before, after), rounds, walk, folder, console)
    if options.keep is None:
        report = Path(shutil.copy(report, Path.cwd() / "demo-report.png"))
        shutil.copy(folder / VERDICT, Path.cwd() / f"demo-{VERDICT}")
    return walk, report, version


def _run_round(
    walk: Walk, number: int, tasks: list[int], version: str, *, step: Step, console: Console
) -> tuple[str, Round]:
    """Correct some tasks and retrain; return the version that serves afterwards, and what the round brought."""
    with step(f"5 the expert corrects (round {number})") as progress:
        readings = walk.read(tasks, version, progress)
    with step(f"6 train, evaluate, judge (round {number})") as progress:
        outcome = walk.train(progress)
    verdict = outcome["verdict"]
    ended = Round(outcome["run"], verdict, total_effort([each.effort for each in readings]), len(readings))
    if not verdict["promote"]:
        console.print(f"The gate keeps {version}: {verdict['reason']}")
        return version, ended
    challenger = outcome["challenger"]
    with step(f"7 hot reload of {challenger}"):
        walk.expect_reload(challenger)
    with step("7 new predictions beside the old ones") as progress:
        walk.expect_refresh(challenger, progress)
    return challenger, ended


def _report(comparison: Comparison, rounds: list[Round], walk: Walk, folder: Path, console: Console) -> Path:
    console.print(summary_table(rounds, comparison))
    for ended in rounds:
        console.print(f"Verdict: {ended.verdict['reason']}")
        console.print(f"It rests on {ended.ground}.", highlight=False)
    verdicts = walk.site.verdicts
    page = write_verdict(verdicts.runs.find(rounds[-1].run), archive=verdicts)
    write_page(folder / VERDICT, page)
    report = folder / "report.png"
    write_report(report, comparison, rounds, walk.cases)
    return report


def _phantoms(
    options: DemoOptions, stack: Stack, progress: training_cases.Progress
) -> tuple[list[Case], list[Case]]:
    """Return the images of the patients that are corrected, and those of the patients that are held out."""
    root = stack.settings.mammogram_root
    assert root is not None
    last = options.seed + options.patients
    share = options.patients / (options.patients + options.held_out)
    drawn = [
        write_phantom_patients(
            folder,
            seeds=seeds,
            appearance=vendor_b(),  # the starter was trained on vendor_a, so there is something to learn
            positive=POSITIVE,
            patient_secret=stack.settings.patient_secret.get_secret_value().encode(),
            progress=training_cases.portion(progress, start, end),
        )
        for folder, seeds, start, end in (
            (root, range(options.seed, last), 0.0, share),
            (root / "held-out", range(last, last + options.held_out), share, 1.0),
        )
    ]
    views = defaultdict[str, list[Case]](list)
    for case in drawn[1]:
        views[case.patient].append(case)
    return drawn[0], [case for cases in views.values() for case in cases[:HELD_OUT_VIEWS]]


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
