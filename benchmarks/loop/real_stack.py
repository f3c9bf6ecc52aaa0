"""Two rounds of the loop through a real stack, beside the same two rounds of the simulation.

python -m benchmarks.loop.real_stack --out FOLDER
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import structlog
import typer

from benchmarks.loop.__main__ import OUT, Lines
from benchmarks.loop.arms import LOOP
from benchmarks.loop.figures import RULE, seconds_of
from benchmarks.loop.patients import Material, Plan, phantoms
from benchmarks.loop.project import random_tasks
from benchmarks.loop.recipes import recipes_of
from benchmarks.loop.served_project import ServedProject
from benchmarks.loop.simulation import ReadImage, Round, Simulated, read_image, simulate
from benchmarks.result import Result
from cli.demo.processes import Processes
from cli.demo.stack import finish_stack, launch_stack
from training.cases import Progress, silent
from training.evaluation.model_version import evaluate
from training.gate.gate import primary_score
from training.metrics import interval
from training.metrics.bootstrap import Floats
from training.phantom_cases import PHANTOM_SECRET
from training.provisional.recipes import PROVISIONAL_RECIPES

ROOT = Path(__file__).parent.parent.parent
ROUNDS = 2
SEED = 0


def run(*, out: Path = OUT / "real-stack", patients: int = 16, frozen: int = 20) -> Result:
    """Read two rounds in both, with the product's own provisional recipe, and compare them image by image."""
    plan = Plan(patients=patients, frozen=frozen, rounds=ROUNDS)
    progress = Lines()
    out.mkdir(parents=True, exist_ok=True)
    work = out / "work"
    mammograms = out / "stack" / "mammograms"
    material = phantoms(plan, SEED, mammograms, progress=progress)
    recipes = replace(
        recipes_of(groups=plan.groups, smoke=False), provisional=PROVISIONAL_RECIPES["provisional"]
    )
    simulated = simulate(LOOP, material, plan, seed=SEED, work=work, progress=progress, recipes=recipes)
    simulated.write(out / "simulated.json")
    served = _served(material, plan, out / "stack", pieces=work / "pieces", progress=progress)
    served.write(out / "served.json")
    return compare(simulated, served)


def _served(material: Material, plan: Plan, folder: Path, *, pieces: Path, progress: Progress) -> Simulated:
    for part in ("data", "label-studio", "redis"):  # of an earlier call; the phantoms stay
        shutil.rmtree(folder / part, ignore_errors=True)
    with (
        Processes(folder / "logs") as processes,
        launch_stack(
            processes,
            folder,
            label_studio=ROOT / ".venv-label-studio/bin/label-studio",
            port=0,
            recipe="finetune",
            patient_secret=PHANTOM_SECRET.decode(),
            threads=1,
        ) as stack,
    ):
        finish_stack(stack)
        images, rounds = _rounds(ServedProject(stack, material, pieces=pieces), material, plan, progress)
    return Simulated(
        arm=LOOP.to_json(),
        seed=SEED,
        material=material.name,
        plan=asdict(plan),
        images=tuple(images),
        rounds=tuple(rounds),
        efforts=(),
    )


def _rounds(
    project: ServedProject, material: Material, plan: Plan, progress: Progress
) -> tuple[list[ReadImage], list[Round]]:
    images: list[ReadImage] = []
    rounds: list[Round] = []
    size = -(-len(material.project) // plan.rounds)
    for number in range(1, plan.rounds + 1):
        project.prelabel(progress)
        version = project.serving
        images += [
            read_image(project, task, number=number, seed=SEED) for task in random_tasks(project.unread, size)
        ]
        frozen = evaluate(project.model(), material.frozen, progress=silent).to_json()
        training: dict[str, Any] = {"kind": "none", "reason": "the project has ended"}
        if number < plan.rounds:
            training = project.learn(progress)
        rounds.append(Round(number=number, version=version, frozen=frozen, training=training))
    return images, rounds


QUANTITIES: Mapping[str, Callable[[ReadImage], float]] = {
    "seconds, without reading": lambda image: seconds_of(image, tool="polygon", reading=0.0),
    "lesions labelled": lambda image: float(image.found),
    "false labels": lambda image: float(image.false),
    "Dice of the labels, summed": lambda image: float(sum(image.dice)),
}
"""Of an image."""


def compare(simulated: Simulated, served: Simulated) -> Result:
    """Return what both read and served, round by round, with intervals over patients of the differences."""
    rows: list[tuple[str, ...]] = []
    for number in range(1, ROUNDS + 1):
        pairs = _pairs(simulated.images, served.images, number)
        owners = [one.patient for one, _ in pairs]
        for name, of in QUANTITIES.items():
            one, two = (np.array([of(each) for each in side]) for side in zip(*pairs, strict=True))
            mean = interval(partial(_weighted, two - one), owners)
            gap = f"{mean.value:+.3f} ({mean.low:+.3f} to {mean.high:+.3f})"
            same = f"{int((one == two).sum())} of {len(one)}"
            rows.append(
                (str(number), f"{name}, per image", f"{one.mean():.3f}", f"{two.mean():.3f}", gap, same)
            )
        scores = [_score(project, number) for project in (simulated, served)]
        texts = [f"{each:.3f}" for each in scores]
        rows.append(
            (str(number), "score on the frozen patients", *texts, f"{scores[1] - scores[0]:+.3f}", "")
        )
        if number < ROUNDS:
            trained = [project.rounds[number - 1].training for project in (simulated, served)]
            texts = [f"{each['before']:.3f}, {each['after']:.3f}, {_fate(each)}" for each in trained]
            gap = f"{trained[1]['after'] - trained[0]['after']:+.3f}"
            rows.append((str(number), "verdict on the provisional model: before, after", *texts, gap, ""))
    return Result(
        title="The loop on a real stack, and simulated",
        method=(
            f"{len(simulated.images)} images of {simulated.plan['patients']} phantom patients, seed {SEED}, "
            f"{ROUNDS} rounds; Label Studio, backend, Redis and worker as the demo starts them."
        ),
        columns=("round", "what", "simulated", "real stack", "difference (95 % interval)", "equal images"),
        rows=rows,
    )


def _fate(training: Mapping[str, Any]) -> str:
    return "serves" if training["promoted"] else "refused"


def _weighted(values: Floats, weights: Floats) -> float:
    return float(weights @ values / weights.sum())


def _score(project: Simulated, number: int) -> float:
    evaluation = project.frozen(number)
    assert evaluation is not None, "a model serves every round"
    return float(primary_score(evaluation, rule=RULE)(np.ones(len(evaluation.images))))


def _pairs(
    simulated: Sequence[ReadImage], served: Sequence[ReadImage], number: int
) -> list[tuple[ReadImage, ReadImage]]:
    other = {each.image: each for each in served if each.round == number}
    ours = [each for each in simulated if each.round == number]
    assert {each.image for each in ours} == set(other), "both read the same images"
    return [(each, other[each.image]) for each in ours]


def main(
    out: Annotated[Path, typer.Option(help="Folder for results and work.", file_okay=False)] = OUT
    / "real-stack",
    patients: Annotated[int, typer.Option(min=6)] = 16,
    frozen: Annotated[int, typer.Option(min=2, help="Patients that are never annotated.")] = 20,
) -> None:
    """Compare two rounds on a real stack with their simulation."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(40))
    typer.echo(run(out=out, patients=patients, frozen=frozen).markdown())


if __name__ == "__main__":
    typer.run(main)
