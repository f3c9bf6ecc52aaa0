"""The demo's report: a before/after table for the terminal, and a PNG with overlays and edit effort."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from rich.table import Table

from cli.demo.walk import Reading
from mammo.efforts.edit_effort import EditEffort, total_effort
from mammo.exchange.overlay import PRELABEL, TRUTH, cut, draw, grey_picture
from mammo.findings import Finding
from mammo.geometry import Box
from training.cases import Case

mpl.use("Agg")
from matplotlib import pyplot as plt

MARGIN_PX = 120
"""Margin around the findings of an overlay, in pixels."""


@dataclass(frozen=True)
class Comparison:
    """Readings of the same unseen tasks, on prelabels of the first and of the last champion."""

    before_version: str
    after_version: str
    before: Sequence[Reading]
    after: Sequence[Reading]


@dataclass(frozen=True)
class Round:
    """A round of correcting, training and judging."""

    run: str
    verdict: Mapping[str, Any]
    """`Verdict.to_json`."""

    effort: EditEffort
    """Of the expert, on the prelabels of the version that served before."""

    images: int
    """That the expert read."""

    @property
    def ground(self) -> str:
        """What the verdict rests on, in words."""
        verdict = self.verdict
        low, high = verdict["interval"]
        return (
            f"{verdict['num_patients']} held-out patients ({verdict['num_images']} images, {verdict['num_truth']} "
            f"clusters) that no model has learned from: difference of the score {verdict['difference']:+.3f}, 90 % "
            f"interval {low:+.3f} to {high:+.3f}, better in {verdict['confidence']:.1%} of {verdict['rule']['draws']} "
            f"draws of patients, of which {verdict['rule']['confidence']:.0%} are required"
        )


def summary_table(rounds: Sequence[Round], comparison: Comparison) -> Table:
    """Return sensitivity and Dice on the held-out patients and the edit effort per round, and on unseen patients."""
    table = Table(
        title="Before and after (phantom results: they say nothing about patients)", title_justify="left"
    )
    for heading in ("", "before", "after", "held out"):
        table.add_column(heading, justify="left" if not heading else "right")
    for index, each in enumerate(rounds, 1):
        verdict = each.verdict
        champion, challenger = verdict["champion"], verdict["challenger"]
        where = f"{verdict['num_patients']} patients, {verdict['num_truth']} clusters"
        for name, key in (
            ("sensitivity at 0.5 FP/image", "sensitivity_0.5"),
            ("sensitivity at 1 FP/image", "sensitivity_1"),
            ("Dice over all clusters", "dice"),
        ):
            table.add_row(f"round {index}: {name}", f"{champion[key]:.2f}", f"{challenger[key]:.2f}", where)
        table.add_row(f"round {index}: verdict", "", "promoted" if verdict["promote"] else "kept", "")
        table.add_row(f"round {index}: {_work(each.effort)}", "", "", f"{each.images} corrected images")
    before, after = _total(comparison.before), _total(comparison.after)
    unseen = f"{len(comparison.before)} unseen images"
    for name in ("accepted", "edited", "added", "deleted"):
        table.add_row(f"regions {name}", str(getattr(before, name)), str(getattr(after, name)), unseen)
    table.add_row("Dice prelabel to correction", _number(before.dice), _number(after.dice), unseen)
    return table


def write_report(
    path: Path, comparison: Comparison, rounds: Sequence[Round], cases: Mapping[int, Case]
) -> None:
    """Write a PNG of prelabels and truth on up to three unseen images, before and after, effort, and last verdict.

    Args:
        path: the PNG file.
        cases: phantoms with their truth, by task id.
    """
    pairs = [
        (before, after)
        for before, after in zip(comparison.before, comparison.after, strict=True)
        if cases[before.task].truth
    ][:3]
    figure, axes = plt.subplots(
        len(pairs) + 1, 2, figsize=(11, 5 * (len(pairs) + 1)), squeeze=False, layout="constrained"
    )
    for row, (before, after) in zip(axes, pairs, strict=False):
        case = cases[before.task]
        mammogram = case.read()
        frame = _frame([*before.prelabel, *after.prelabel, *case.truth]).dilated(MARGIN_PX)
        region = frame.within(mammogram.size)
        for axis, reading, version in zip(
            row, (before, after), (comparison.before_version, comparison.after_version), strict=True
        ):
            picture = grey_picture(mammogram.pixels)
            draw(picture, case.truth, colour=TRUTH, scores=False)
            draw(picture, reading.prelabel, colour=PRELABEL)
            axis.imshow(cut(picture, region))
            axis.set_title(f"task {reading.task}: {version}\ntruth green, prelabel orange", fontsize=9)
            axis.axis("off")
    _bars(axes[-1][0], comparison)
    axes[-1][1].axis("off")
    last = rounds[-1]
    said = (
        f"The gate {'promoted' if last.verdict['promote'] else 'did not promote'} the challenger: "
        f"{last.verdict['reason']}.",
        f"The verdict rests on {last.ground}.",
        "What champion and challenger found on these patients is in the page beside this report, with pictures.",
        *(f"Round {n}, {each.images} images: {_work(each.effort)}." for n, each in enumerate(rounds, 1)),
        "Phantoms, not patients: these figures say nothing about clinical performance.",
    )
    text = "\n\n".join(textwrap.fill(each, 58) for each in said)
    axes[-1][1].text(0, 1, text, fontsize=10, va="top", transform=axes[-1][1].transAxes)
    figure.savefig(path, dpi=90)
    plt.close(figure)


def _bars(axis: Any, comparison: Comparison) -> None:
    names = ("accepted", "edited", "added", "deleted")
    places = np.arange(len(names))
    for offset, readings, label in (
        (-0.2, comparison.before, comparison.before_version),
        (0.2, comparison.after, comparison.after_version),
    ):
        effort = _total(readings)
        axis.bar(places + offset, [getattr(effort, name) for name in names], 0.38, label=label)
    axis.set_xticks(places, names)
    axis.set_ylabel("regions")
    axis.set_title("Edit effort on unseen patients", fontsize=10)
    axis.legend(fontsize=8)


def _work(effort: EditEffort) -> str:
    counts = (f"{getattr(effort, name)} {name}" for name in ("accepted", "edited", "added", "deleted"))
    return f"regions {', '.join(counts)}"


def _frame(findings: Sequence[Finding]) -> Box:
    frame = findings[0].box
    for finding in findings[1:]:
        frame = frame.union(finding.box)
    return frame


def _total(readings: Sequence[Reading]) -> EditEffort:
    return total_effort([reading.effort for reading in readings])


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"
