"""The tables of the simulated projects."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from benchmarks.loop.arms import ARMS
from benchmarks.loop.figures import (
    Labels,
    Projects,
    Shown,
    flawless,
    gained,
    hours_until,
    saved,
    score,
    seconds,
)
from benchmarks.result import Result
from training.metrics import Interval

READINGS = (0.0, 5.0, 15.0, 30.0)
"""Seconds of reading per image that are added, since none were measured."""

TARGET_GAIN = 0.03
"""Above the starter's score on the same frozen patients; chosen before any run."""

GOAL = 0.30
"""Share of the seconds that the loop is to save in round 3."""

Results = Mapping[str, Projects]
"""The simulated projects by arm."""


def tables(results: Results) -> Iterator[Result]:
    """Yield every table for which there are projects."""
    yield _seconds_table(results)
    yield _saved_table(results)
    yield _score_table(results)
    yield _hours_table(results)
    yield _labels_table(results)
    yield _trainings_table(results)


def _rounds(results: Results) -> int:
    return max(len(project.rounds) for projects in results.values() for project in projects.values())


def _method(results: Results) -> str:
    projects = [project for each in results.values() for project in each.values()]
    some = projects[0]
    seeds = sorted({project.seed for project in projects})
    frozen = next((each for project in projects if (each := project.frozen(1))), None)
    kept = f"{len(frozen.patients)} frozen patients with {len(frozen.images)}; " if frozen else ""
    return (
        f"{len({image.patient for image in some.images})} patients with {len(some.images)} images in "
        f"{_rounds(results)} rounds, {kept}{some.material}, project seeds {', '.join(map(str, seeds))}."
    )


def _seconds_table(results: Results) -> Result:
    rounds = range(1, _rounds(results) + 1)
    rows = []
    for name, projects in results.items():
        cells = [f"{seconds(projects, number):.1f}" for number in rounds]
        brush = [f"{seconds(projects, number, tool='brush'):.1f}" for number in (1, rounds[-1])]
        rows.append((name, str(len(projects)), *cells, f"{brush[0]} and {brush[1]}"))
    some = next(iter(results.values()))
    rows.append(
        ("flawless prelabels", str(len(some)), *(f"{flawless(some, number):.1f}" for number in rounds), "")
    )
    return Result(
        title="The loop: annotator seconds per image",
        method=f"{_method(results)} Gestures and decisions with outlines, without reading; in the last column the "
        "first and the last round if the same were painted by brush. Flawless prelabels are the bound of any "
        "model: nothing to do but to judge each finding and each image.",
        columns=("arm", "projects", *(f"round {number}" for number in rounds), "by brush"),
        rows=rows,
    )


def _saved_table(results: Results) -> Result:
    rows = []
    for other in ("no-model", "starter"):
        for name in results:
            if name in ("no-model", other) or other not in results:
                continue
            cells = [
                _percent(saved(results[name], results[other], [3], reading=reading)) for reading in READINGS
            ]
            after = _percent(saved(results[name], results[other], range(3, _rounds(results) + 1)))
            rows.append((name, other, *cells, after))
    return Result(
        title="The loop: seconds saved",
        method=f"{_method(results)} Share of the other arm's seconds that is saved in round 3, with so many seconds of "
        "reading added to every image, and from round 3 on without reading; 95 % interval over patients, paired. "
        f"Goal of the loop in round 3: {GOAL:.0%} against both.",
        columns=(
            "arm",
            "against",
            *(f"{reading:g} s of reading" for reading in READINGS),
            "rounds 3 to last",
        ),
        rows=rows,
    )


def _score_table(results: Results) -> Result:
    rounds = range(1, _rounds(results) + 1)
    rows = []
    for name, projects in results.items():
        if name == "no-model":
            continue
        cells = [f"{score(projects, number).value:.3f}" for number in rounds]
        starter = results.get("starter")
        difference = _signed(gained(projects, starter, rounds[-1])) if starter and name != "starter" else ""
        careful = results.get("blind") if name == "credulous" else results.get("loop")
        loop = (
            _signed(gained(projects, careful, rounds[-1]))
            if careful and name not in ("loop", "starter")
            else ""
        )
        rows.append((name, *cells, difference, loop))
    return Result(
        title="The loop: score on the frozen patients",
        method=f"{_method(results)} The gate's primary score, with the exact truth, of what served in each round. "
        "Differences in the last round with 95 % interval over patients, paired; the last column is against `loop`, of "
        "`credulous` against `blind`.",
        columns=("arm", *(f"round {number}" for number in rounds), "minus starter", "minus loop"),
        rows=rows,
    )


def _hours_table(results: Results) -> Result:
    rows = []
    for name, projects in results.items():
        if ARMS[name].model != "learning":
            continue
        cells = []
        for seed, project in sorted(projects.items()):
            if (starter := results.get("starter", {}).get(seed)) is None:
                continue
            target = score({seed: starter}, 1).value + TARGET_GAIN
            hours = hours_until(project, target, reading=READINGS[1])
            cells.append("not reached" if math.isinf(hours) else f"{hours:.2f} h")
        rows.append((name, ", ".join(cells)))
    return Result(
        title="The loop: hours until a better model serves",
        method=f"{_method(results)} Annotator hours, with {READINGS[1]:g} s of reading an image, until what serves "
        f"scores {TARGET_GAIN:g} more than the starter on the frozen patients; one figure per seed.",
        columns=("arm", "hours"),
        rows=rows,
    )


def _labels_table(results: Results) -> Result:
    rows = []
    for name, projects in results.items():
        labels = Labels.of(projects)
        shown, blind = (
            _shown(Shown.of(projects, arm)) if name != "no-model" else ""
            for arm in ("prelabelled", "control")
        )
        rows.append(
            (
                name,
                f"{labels.found:.1%}",
                f"{labels.false:.2f}",
                f"{labels.dice:.3f}",
                shown,
                blind,
            )
        )
    return Result(
        title="The loop: labels, and what the blind share shows",
        method=f"{_method(results)} Labels against the exact truth. Then, as the product counts it: the share of "
        "images whose prelabel was left as it is, and the Dice of prelabel and annotation, where it was shown and "
        "where the reader was blind (number of images).",
        columns=("arm", "lesions labelled", "false labels an image", "Dice", "prelabel shown", "blind"),
        rows=rows,
    )


def _trainings_table(results: Results) -> Result:
    rows = []
    for name, projects in results.items():
        for seed, project in sorted(projects.items()):
            for each in project.rounds:
                training = each.training
                if training["kind"] == "none":
                    continue
                rows.append(
                    (
                        name,
                        str(seed),
                        str(each.number),
                        str(training["kind"]),
                        f"{training['before']:.3f} to {training['after']:.3f} on {training['patients']} patients",
                        "serves" if training["promoted"] else "lost",
                    )
                )
    return Result(
        title="The loop: what was trained",
        method=f"{_method(results)} The score is that of the run's own verdict, whose truth is the labels.",
        columns=("arm", "seed", "after round", "run", "score", "end"),
        rows=rows,
    )


def _shown(each: Shown) -> str:
    return f"{each.untouched:.0%}, {each.dice:.3f} ({each.images})" if each.images else ""


def _percent(each: Interval) -> str:
    if math.isnan(each.value):
        return ""
    return f"{each.value:+.0%} ({each.low:+.0%} to {each.high:+.0%})"


def _signed(each: Interval) -> str:
    return "" if math.isnan(each.value) else f"{each.value:+.3f} ({each.low:+.3f} to {each.high:+.3f})"
