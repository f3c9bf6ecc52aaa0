"""One arm, round by round: order, prelabels, corrections, training, and the frozen patients."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.loop.annotator import RATES, Annotator, Correction
from benchmarks.loop.arms import Arm
from benchmarks.loop.gestures import prices
from benchmarks.loop.patients import Material, Plan
from benchmarks.loop.project import SimulatedProject
from benchmarks.loop.recipes import Recipes, recipes_of
from mammo.atomic_files import replacing
from mammo.findings import Finding
from mammo.geometry import Point
from mammo.labelstudio.interpretation import from_regions
from mammo.labelstudio.rendering import truth_regions
from mammo.masks import Mask
from training.cases import Case, Progress, portion, silent
from training.evaluation.model_version import Evaluation, evaluate
from training.metrics import centre_rule, lesion_dice, pair

if TYPE_CHECKING:
    from benchmarks.loop.served_project import ServedProject

READING = 5.0
"""Seconds of reading that are added to an annotation's lead time, so that it resembles a person's. Not measured; tables
state for every figure whether it has it."""


@dataclass(frozen=True, kw_only=True)
class ReadImage:
    """What reading one image took, and how good its labels are."""

    round: int
    image: str
    patient: str
    blind: bool
    tally: Mapping[str, float]
    lesions: int
    found: int
    """True lesions that have a label."""

    false: int
    """Labels without a lesion."""

    dice: tuple[float, ...]
    """Of each true lesion with the labels; 0 for a missed one."""


@dataclass(frozen=True, kw_only=True)
class Round:
    """One round, and what served it."""

    number: int
    version: str
    frozen: dict[str, Any] | None
    """`Evaluation.to_json` of the serving model on the frozen patients; None without a model."""

    training: Mapping[str, Any]
    """What was trained after it; see `SimulatedProject.learn`."""


@dataclass(frozen=True, kw_only=True)
class Simulated:
    """The results of one arm of one simulated project."""

    arm: Mapping[str, Any]
    seed: int
    material: str
    plan: Mapping[str, int]
    images: tuple[ReadImage, ...]
    rounds: tuple[Round, ...]
    efforts: tuple[Mapping[str, Any], ...]
    """Edit effort of every annotation: whether its reader was blind (`control`), model version, counts, Dice."""

    def write(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as part:
            part.write_text(json.dumps(asdict(self)))

    @classmethod
    def read(cls, path: Path) -> Simulated:
        content = json.loads(path.read_text())
        images = tuple(ReadImage(**{**each, "dice": tuple(each["dice"])}) for each in content["images"])
        rounds = tuple(Round(**each) for each in content["rounds"])
        return cls(**{**content, "images": images, "rounds": rounds, "efforts": tuple(content["efforts"])})

    def frozen(self, number: int) -> Evaluation | None:
        """Return the evaluation of what served a round, from 1."""
        stored = self.rounds[number - 1].frozen
        return Evaluation.from_json(stored) if stored else None


def simulate(
    arm: Arm,
    material: Material,
    plan: Plan,
    *,
    seed: int,
    work: Path,
    progress: Progress,
    recipes: Recipes | None = None,
) -> Simulated:
    """Simulate a project from its first image to its last. A repeated call reuses the pieces of a stopped one.

    Args:
        recipes: what is trained; default: `recipes_of` the plan.
    """
    folder = work / "sites" / f"{seed}-{arm.name}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    recipes = recipes or recipes_of(groups=plan.groups, smoke=plan.smoke)
    project = SimulatedProject.create(folder, arm, material, recipes=recipes, pieces=work / "pieces")
    images: list[ReadImage] = []
    rounds: list[Round] = []
    size = -(-len(material.project) // plan.rounds)
    try:
        for number in range(1, plan.rounds + 1):
            part = portion(
                progress,
                (number - 1) / plan.rounds,
                number / plan.rounds,
                prefix=f"seed {seed}, {arm.name}, round {number}: ",
            )
            part(0.0, "prelabels and corrections")
            images += [
                read_image(project, task, number=number, seed=seed) for task in project.next_tasks(size)
            ]
            part(0.2, "frozen patients")
            frozen = (
                evaluate(project.model(), material.frozen, progress=silent).to_json()
                if project.serving
                else None
            )
            version = project.serving
            training: Mapping[str, Any] = {"kind": "none", "reason": "the project has ended"}
            if number < plan.rounds:
                training = project.learn(number, progress=portion(part, 0.3, 1.0))
            rounds.append(Round(number=number, version=version, frozen=frozen, training=training))
        efforts = [
            {
                "task": each.task,
                "arm": each.arm,
                "model": each.model_version,
                "hasty": each.hasty,
                "accepted": each.effort.accepted,
                "edited": each.effort.edited,
                "added": each.effort.added,
                "deleted": each.effort.deleted,
                "dice": each.effort.dice,
            }
            for each in project.efforts().records
        ]
    finally:
        project.close()
    return Simulated(
        arm=arm.to_json(),
        seed=seed,
        material=material.name,
        plan=asdict(plan),
        images=tuple(images),
        rounds=tuple(rounds),
        efforts=tuple(efforts),
    )


def read_image(project: SimulatedProject | ServedProject, task: int, *, number: int, seed: int) -> ReadImage:
    """Let the annotator read one task."""
    case, arm = project.unread[task], project.arm
    mammogram = case.read()
    assert mammogram.spacing is not None, "simulated images state their spacing"
    blind = arm.model != "none" and project.is_blind(task)
    shown: list[Finding] | None = None
    regions: list[dict[str, Any]] = []
    ask = None
    if arm.model != "none":
        regions = project.regions(task, shown=not blind)
        model = project.model()

        def ask(point: Point) -> Mask | None:
            return model.click(mammogram, point)

        if blind:
            regions = []
        else:
            shown = from_regions(regions, tags=project.tags, size=mammogram.size)
    annotator = Annotator(
        RATES[arm.annotator], seed=seed, image=case.image, size=mammogram.size, spacing=mammogram.spacing
    )
    correction = annotator.correct(shown, case.truth, ask=ask)
    result = [each for each in regions if each.get("id") in correction.kept]
    result += truth_regions(correction.drawn, size=mammogram.size, tags=project.tags, source="annotator")
    seconds = prices().work(correction.tally, tool="polygon") + READING
    project.annotate(task, result, seconds=seconds)
    return _measured(case, correction, shown or (), number=number, blind=blind)


def _measured(
    case: Case, correction: Correction, shown: Sequence[Finding], *, number: int, blind: bool
) -> ReadImage:
    labels = [*(each for each in shown if each.id in correction.kept), *correction.drawn]
    pairs = pair(labels, [each.box for each in case.truth], uncertain=(), rule=centre_rule)
    return ReadImage(
        round=number,
        image=case.image,
        patient=case.patient,
        blind=blind,
        tally=dict(correction.tally),
        lesions=len(case.truth),
        found=sum(lesion is not None for _, lesion in pairs),
        false=len(labels) - sum(lesion is not None for _, lesion in pairs),
        dice=lesion_dice(labels, case.truth),
    )
