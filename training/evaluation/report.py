"""Report: the contents of an evaluation, as Markdown for people, JSON for programs, and a FROC plot."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from training.evaluation.detector import ScoredImage, hits_of
from training.evaluation.strict_json import to_strict_json
from training.metrics import RATES, centre_rule, froc

MIN_RATE = 0.02
"""Left end of the plot's axis, in false positives per image."""


@dataclass(frozen=True, kw_only=True)
class Table:
    """One table of a report."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""

    def to_markdown(self) -> str:
        lines = [
            f"### {self.title}",
            "",
            "| " + " | ".join(self.columns) + " |",
            "|" + "---|" * len(self.columns),
            *("| " + " | ".join(row) + " |" for row in self.rows),
        ]
        return "\n".join([*lines, *(["", self.note] if self.note else [])]) + "\n"


@dataclass(frozen=True, kw_only=True)
class Report:
    """The contents of a report."""

    title: str
    facts: Mapping[str, Any]
    """All that is needed to repeat the evaluation: model, data, split, seeds, rules."""

    tables: Sequence[Table]
    figures: Mapping[str, Any]
    """The numbers behind the tables, for programs."""

    curves: Mapping[str, Sequence[ScoredImage]] = field(default_factory=dict)
    """FROC curves: name in the legend to scored images."""

    on_normals: bool = False
    """Whether the curves count false positives on images without lesions only, per such image."""

    pictures: Mapping[str, str] = field(default_factory=dict)
    """Further pictures that were written beside the report: title to file name."""

    def write(self, folder: Path, *, name: str) -> list[Path]:
        """Write NAME.md, NAME.json and, if there are curves over lesions, NAME.froc.png; returns their paths."""
        folder.mkdir(parents=True, exist_ok=True)
        paths = [folder / f"{name}.md", folder / f"{name}.json"]
        paths[0].write_text(self.to_markdown(f"{name}.froc.png"), encoding="utf-8")
        content = {"title": self.title, "facts": self.facts, "figures": self.figures}
        images = {label: [image.to_json() for image in scored] for label, scored in self.curves.items()}
        strict = to_strict_json({**content, "images": images})
        paths[1].write_text(json.dumps(strict, indent=1), encoding="utf-8")
        if self.has_plot:
            paths.append(folder / f"{name}.froc.png")
            plot_froc(self.curves, paths[-1], title=self.title, on_normals=self.on_normals)
        return paths

    @property
    def has_plot(self) -> bool:
        """Whether there is a curve: without a lesion there is no sensitivity."""
        return any(image.truth for scored in self.curves.values() for image in scored)

    def to_markdown(self, plot: str) -> str:
        facts = [f"- {key}: {value}" for key, value in self.facts.items()]
        files = {**({"FROC": plot} if self.has_plot else {}), **self.pictures}
        picture = [line for title, file in files.items() for line in (f"![{title}]({file})", "")]
        head = [f"## {self.title}", "", *facts, ""]
        return "\n".join([*head, *(table.to_markdown() for table in self.tables), *picture])


def plot_froc(
    curves: Mapping[str, Sequence[ScoredImage]], path: Path, *, title: str, on_normals: bool = False
) -> None:
    """Draw FROC curves (centre rule) as PNG, with false positives on a logarithmic axis.

    Args:
        on_normals: count false positives on images without lesions only.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 4.4), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for label, scored in curves.items():
        normal = [not (image.truth or image.uncertain) for image in scored] if on_normals else None
        curve = froc(hits_of(scored, rule=centre_rule), counted=normal)
        axes.step(
            [*curve.false_positives, RATES[-1]],
            [*curve.sensitivity, curve.sensitivity[-1]],
            where="post",
            label=label,
        )
    axes.set(
        xscale="log",
        xlim=(MIN_RATE, RATES[-1]),
        ylim=(0, 1.02),
        xlabel=f"false positives per {'normal ' if on_normals else ''}image",
        ylabel="sensitivity",
        title=title,
    )
    axes.set_xticks(RATES, [f"{rate:g}" for rate in RATES])
    axes.grid(alpha=0.3)
    axes.legend(loc="best")
    figure.savefig(path, dpi=120, metadata={"Software": None})
