"""What a detector's evaluation says: Markdown for people, JSON for programs, a FROC plot for the eye."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from training.evaluation.detector import Measured, Scored, breakdown, hits_of
from training.metrics import RATES, Interval, centre_rule, froc

LOWEST_RATE = 0.02
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
    """Everything that is written down about one evaluation."""

    title: str
    facts: Mapping[str, Any]
    """Model, data, split, seeds, rule: what it takes to do it again."""

    tables: Sequence[Table]
    figures: Mapping[str, Any]
    """The numbers behind the tables, for programs."""

    curves: Mapping[str, Sequence[Scored]] = field(default_factory=dict)
    """Name in the legend to the images behind a FROC curve."""

    def write(self, folder: Path, *, name: str) -> list[Path]:
        """Write NAME.md, NAME.json and, with curves, NAME.froc.png; returns their paths."""
        folder.mkdir(parents=True, exist_ok=True)
        paths = [folder / f"{name}.md", folder / f"{name}.json"]
        paths[0].write_text(self.to_markdown(f"{name}.froc.png"), encoding="utf-8")
        content = {"title": self.title, "facts": self.facts, "figures": self.figures}
        images = {label: [image.to_json() for image in scored] for label, scored in self.curves.items()}
        paths[1].write_text(json.dumps(plain({**content, "images": images}), indent=1), encoding="utf-8")
        if self.curves:
            paths.append(folder / f"{name}.froc.png")
            plot_froc(self.curves, paths[-1], title=self.title)
        return paths

    def to_markdown(self, plot: str) -> str:
        facts = [f"- {key}: {value}" for key, value in self.facts.items()]
        picture = [f"![FROC]({plot})", ""] if self.curves else []
        head = [f"## {self.title}", "", *facts, ""]
        return "\n".join([*head, *(table.to_markdown() for table in self.tables), *picture])


def detector_report(
    scored: Sequence[Scored], found: Measured, *, facts: Mapping[str, Any], draws: int = 1000, seed: int = 0
) -> Report:
    """One detector on one set of images.

    Args:
        found: what `measure` says of `scored`, with the same draws and seed.
    """
    parts = breakdown(scored, threshold=found.threshold, draws=draws, seed=seed)
    tables = [_summary(found), _curve(found)]
    if parts:
        rows = [
            [kind, value, str(count), str(figure)]
            for kind, values in parts.items()
            for value, (count, figure) in values.items()
        ]
        columns = ["by", "value", "clusters", "sensitivity"]
        tables.append(Table(title="Sensitivity by kind of cluster", columns=columns, rows=rows))
    return Report(
        title="Detector",
        facts={**facts, **split(scored), "intervals": intervals(draws, seed)},
        tables=tables,
        figures={"measured": asdict(found), "by": {kind: _counted(values) for kind, values in parts.items()}},
        curves={"detector": scored},
    )


def split(scored: Sequence[Scored]) -> dict[str, int]:
    """How much there was to judge on."""
    return {
        "patients": len({image.patient for image in scored}),
        "images": len(scored),
        "clusters": sum(len(image.truth) for image in scored),
    }


def intervals(draws: int, seed: int) -> str:
    return f"95 %, {draws} draws of patients, seed {seed}; for AP at most 200 draws"


def _summary(found: Measured) -> Table:
    rows = [
        ["threshold", f"{found.threshold:g}"],
        ["sensitivity (TPR)", str(found.sensitivity)],
        ["false positives per image", str(found.false_positives)],
        ["precision", str(found.precision)],
        ["F1", str(found.f1)],
        ["AP50", str(found.ap50)],
        ["AP50-95", str(found.ap50_95)],
        ["median seconds per image", f"{found.seconds:g}"],
    ]
    return Table(
        title="At the operating point",
        columns=["figure", "value (95 % CI)"],
        rows=rows,
        note="A detection hits the cluster whose box holds its centre. AP is COCO's, by overlap.",
    )


def _curve(found: Measured) -> Table:
    rows = [
        ["centre in box", *(str(found.froc_centre[rate]) for rate in RATES)],
        ["IoU 0.5", *(str(found.froc_iou50[rate]) for rate in RATES)],
    ]
    return Table(
        title="Sensitivity by false positives per image (FROC)",
        columns=["rule of a hit", *(f"{rate:g}" for rate in RATES)],
        rows=rows,
    )


def _counted(values: Mapping[str, tuple[int, Interval]]) -> dict[str, Any]:
    return {value: {"clusters": count, **asdict(figure)} for value, (count, figure) in values.items()}


def plot_froc(curves: Mapping[str, Sequence[Scored]], path: Path, *, title: str) -> None:
    """Draw FROC curves (centre rule) as PNG, false positives on a logarithmic axis."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 4.4), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for label, scored in curves.items():
        curve = froc(hits_of(scored, rule=centre_rule))
        axes.step(
            [*curve.false_positives, RATES[-1]],
            [*curve.sensitivity, curve.sensitivity[-1]],
            where="post",
            label=label,
        )
    axes.set(
        xscale="log",
        xlim=(LOWEST_RATE, RATES[-1]),
        ylim=(0, 1.02),
        xlabel="false positives per image",
        ylabel="sensitivity",
        title=title,
    )
    axes.set_xticks(RATES, [f"{rate:g}" for rate in RATES])
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right")
    figure.savefig(path, dpi=120, metadata={"Software": None})


def plain(value: Any) -> Any:
    """JSON has no NaN and no tuples."""
    if isinstance(value, Mapping):
        return {str(key): plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
