"""`python -m benchmarks.loop`: simulate projects arm by arm. A stopped call continues where it was."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import structlog
import typer

from benchmarks.loop.arms import ARMS, EVERY, MAIN
from benchmarks.loop.patients import Material, Plan, inserted, phantoms
from benchmarks.loop.report import tables
from benchmarks.loop.simulation import Simulated, simulate
from benchmarks.result import Result
from training.cases import Progress, silent

OUT = Path("data/loop")
SETS = {"main": MAIN, "every": EVERY}
LINE_SECONDS = 20.0
"""Least time between two lines of progress."""


def run(
    *,
    out: Path = OUT,
    arms: Sequence[str] = MAIN,
    seeds: Sequence[int] = (0,),
    plan: Plan | None = None,
    backgrounds: Path | None = None,
    spacing_mm: float = 0.2,
    progress: Progress = silent,
) -> Iterable[Result]:
    """Simulate what is missing, and return the tables of these arms and seeds.

    Args:
        out: results, one JSON file per arm and seed; in `work` what they were made from.
        backgrounds: folder of normal mammograms into which clusters are inserted; None: phantoms.
        spacing_mm: of the backgrounds.

    Raises:
        ValueError: the folder has results of another plan.
    """
    plan, results = plan or Plan(), {arm: dict[int, Simulated]() for arm in arms}
    for seed in seeds:
        material: Material | None = None
        for name in arms:
            path = out / "results" / f"{seed}-{name}.json"
            if not path.is_file():
                if material is None:
                    material = _material(plan, seed, out / "work", backgrounds, spacing_mm, progress)
                simulate(ARMS[name], material, plan, seed=seed, work=out / "work", progress=progress).write(
                    path
                )
            project = Simulated.read(path)
            if project.plan != asdict(plan):
                raise ValueError(f"{path} is of another plan, {project.plan}; give another folder as --out")
            results[name][seed] = project
    return tables(results)


def _material(
    plan: Plan, seed: int, work: Path, backgrounds: Path | None, spacing_mm: float, progress: Progress
) -> Material:
    if backgrounds is None:
        return phantoms(plan, seed, work / "phantoms", progress=progress)
    return inserted(backgrounds, plan, seed, work / "inserted", spacing_mm=spacing_mm)


class Lines:
    """Progress as lines on the terminal."""

    def __init__(self) -> None:
        self._began, self._said = time.monotonic(), -LINE_SECONDS

    def __call__(self, fraction: float, message: str) -> None:
        now = time.monotonic()
        if now - self._said >= LINE_SECONDS:
            self._said = now
            typer.echo(f"{now - self._began:.0f} s: {message}", err=True)


def _seeds(text: str) -> list[int]:
    first, _, last = text.partition("-")
    if not first.isdecimal() or not (last or first).isdecimal():
        raise typer.BadParameter(f"expected FIRST-LAST or one seed, got {text!r}")
    return list(range(int(first), int(last or first) + 1))


def _arms(text: str) -> tuple[str, ...]:
    names = SETS.get(text) or tuple(each.strip() for each in text.split(","))
    if unknown := [name for name in names if name not in ARMS]:
        raise typer.BadParameter(f"no arm {', '.join(unknown)}; arms are {', '.join(ARMS)}, main or every")
    return names


def main(
    out: Annotated[Path, typer.Option(help="Folder for results and work.", file_okay=False)] = OUT,
    arms: Annotated[str, typer.Option(help="Names with commas; `main`, or `every`.")] = "main",
    seeds: Annotated[str, typer.Option(help="Of the simulated projects: FIRST-LAST.")] = "0",
    patients: Annotated[int, typer.Option(min=5)] = Plan.patients,
    frozen: Annotated[int, typer.Option(min=2, help="Patients that are never annotated.")] = Plan.frozen,
    rounds: Annotated[int, typer.Option(min=2)] = Plan.rounds,
    views: Annotated[int, typer.Option(help="Images of a phantom patient: 1, 2 or 4.")] = Plan.views,
    groups: Annotated[
        int, typer.Option(min=2, help="Left-out groups that judge a provisional model.")
    ] = Plan.groups,
    smoke: Annotated[bool, typer.Option(help="Train for seconds; the figures mean nothing.")] = False,
    backgrounds: Annotated[
        Path | None,
        typer.Option(help="Folder of normal mammograms, PNG, for inserted clusters.", exists=True),
    ] = None,
    spacing_mm: Annotated[float, typer.Option(help="Their pixel spacing.", min=0.01)] = 0.2,
) -> None:
    """Simulate projects, and print the tables."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(40))
    if views not in (1, 2, 4):
        raise typer.BadParameter(f"--views is 1, 2 or 4; got {views}")
    plan = Plan(patients=patients, frozen=frozen, rounds=rounds, views=views, groups=groups, smoke=smoke)
    for table in run(
        out=out,
        arms=_arms(arms),
        seeds=_seeds(seeds),
        plan=plan,
        backgrounds=backgrounds,
        spacing_mm=spacing_mm,
        progress=Lines(),
    ):
        typer.echo(table.markdown() + "\n")


if __name__ == "__main__":
    typer.run(main)
