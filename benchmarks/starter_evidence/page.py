"""The generated part of docs/evidence.md, and the same figures as JSON."""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.starter_evidence.images import Images
from training.evaluation.detector import hits_of
from training.evaluation.image_figures import best_hit
from training.evaluation.image_report import MeasuredDetector, image_report
from training.evaluation.report import Report, Table
from training.evaluation.strict_json import to_strict_json
from training.metrics import Counts, centre_rule

BEGIN, END = "<!-- `python -m benchmarks.starter_evidence` writes this part. -->", "<!-- end -->"
PART = re.compile(f"{re.escape(BEGIN)}.*?{re.escape(END)}", re.DOTALL)

MAX_COLUMNS = 100
"""Of the lines of docs/ that are no table."""


@dataclass(frozen=True)
class MeasuredImages:
    """A set of images with the detectors that were measured on it."""

    images: Images
    detectors: Sequence[MeasuredDetector]

    def report(self) -> Report:
        """Its figures; without pictures, because no public image is committed."""
        whole = image_report(self.detectors, self.images.evaluated, facts={}, pictures={})
        tables = [self._of_each_lesion()] if self.images.few else list(map(_shortened, whole.tables[:-1]))
        facts = {name: fact for name, fact in whole.facts.items() if not name.startswith("weights")}
        return replace(whole, title=self.images.title, facts=facts, tables=tables, curves={})

    def _of_each_lesion(self) -> Table:
        """The score of each lesion, and the boxes beside them."""
        lesions = [
            (number, finding)
            for number, image in enumerate(self.images.evaluated.images)
            for finding in image.case.truth
        ]
        rows = []
        for each in self.detectors:
            scores = [best_hit(each.scored[number], finding.box) for number, finding in lesions]
            false = Counts.of(hits_of(each.scored, rule=centre_rule), each.figures.threshold).false
            rows.append(
                [
                    each.name,
                    f"{each.figures.threshold:g}",
                    *(f"{score:.2f}" if score else "none" for score in scores),
                    f"{false.sum() / len(each.scored):.2f}",
                ]
            )
        names = [finding.id for _, finding in lesions]
        return Table(
            title="Scores of the groups",
            columns=["detector", "operating point", *names, "boxes beside them, an image"],
            rows=rows,
        )


def write_page(page: Path, measured: Sequence[MeasuredImages], *, facts: dict[str, str]) -> list[Path]:
    """Replace the generated part of a page, or write a page with nothing else; return it and the JSON beside it."""
    reports = [each.report() for each in measured]
    parts = [f"* {name}: {fact}" for name, fact in facts.items()]
    for each, report in zip(measured, reports, strict=True):
        counts = ", ".join(f"{name}: {fact}" for name, fact in report.facts.items())
        parts += ["", f"### {each.images.title}", "", f"{each.images.about} In numbers: {counts}.", ""]
        parts += (table.to_markdown().replace("### ", "#### ", 1) for table in report.tables)
    text = "\n".join(_wrapped(line) for line in "\n".join(parts).split("\n"))
    text = f"{BEGIN}\n\n{re.sub(chr(10) + '{3,}', chr(10) * 2, text).strip()}\n\n{END}"
    before = page.read_text(encoding="utf-8") if page.is_file() else f"{text}\n"
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text(PART.sub(lambda _: text, before), encoding="utf-8")
    figures = page.with_suffix(".json")
    sets = {
        report.title: {
            "about": each.images.about,
            "files": each.images.files,
            "facts": report.facts,
            "figures": report.figures["detectors"],
        }
        for each, report in zip(measured, reports, strict=True)
    }
    document = to_strict_json({"facts": facts, "sets": sets})
    figures.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return [page, figures]


def _shortened(table: Table) -> Table:
    """A table without its note, which the page says once, and without durations, which other work prolongs."""
    timed = table.columns[-1].startswith("seconds")
    columns, rows = table.columns, table.rows
    if timed:
        columns, rows = columns[:-1], [row[:-1] for row in rows]
    return replace(table, columns=columns, rows=rows, note="")


def _wrapped(line: str) -> str:
    if line.startswith(("|", "#")):
        return line
    indent = "  " if line.startswith("* ") else ""
    return textwrap.fill(
        line, MAX_COLUMNS, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )
