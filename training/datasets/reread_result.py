"""Rereading: what became of a project's annotations, for tables, logs and programs."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

State = Literal["same", "changed", "refused", "left_out", "edited", "absent"]
"""Against the newest dataset version.

    same       read as it was
    changed    the same annotation has other findings now
    refused    it cannot be read, so the next dataset version leaves it out
    left_out   another annotation of the image counts, or two readers dispute it
    edited     a person has changed it since
    absent     the version does not hold it, and it can be read
"""

Kind = Literal["gone", "new", "reshaped"]


@dataclass(frozen=True, kw_only=True)
class FindingChange:
    """One finding that is read otherwise."""

    kind: Kind
    """`reshaped`: its box or its mask covers less than `mammo.efforts.edit_effort.MIN_OVERLAP` of what it covered."""

    number: int
    """From 1: in the version; of a new one, among those that are read now."""

    box: tuple[int, int, int, int]
    """x0, y0, x1, y1 in pixels: as it was; of a new one as it is."""

    image: str = ""
    """Which of the task's images it lies on; empty for the only one."""

    overlap: float | None = None
    """Dice of the masks, or IoU of the boxes where one has no mask; None for gone and new ones."""


@dataclass(frozen=True, kw_only=True)
class Reread:
    """What became of one annotation."""

    annotation: int
    task: int
    state: State
    held: bool
    """The version holds it, in this or an earlier revision."""

    was: str = ""
    """Code for which the version left it out; empty where it did not."""

    code: str = ""
    """Why it is refused or left out now; stable."""

    reason: str = ""
    before: int | None = None
    """Findings in the version; None where it does not hold it."""

    now: int | None = None
    """Findings as it is read now; None where it is not."""

    changes: tuple[FindingChange, ...] = ()
    crumbs: int = 0
    """Parts of masks that are left out as too small to be meant."""

    deleted: int = 0
    """Prelabelled findings of which a part was deleted, and so the whole."""

    @property
    def matters(self) -> bool:
        """The next dataset version differs in it by how it is read, and not by what a person did since."""
        disputed = self.state == "left_out" and self.code == "disputed"
        return self.state == "changed" or (self.held and (self.state == "refused" or disputed))


@dataclass(frozen=True, kw_only=True)
class Rereading:
    """What became of all annotations of a project."""

    project: int
    version: str | None
    """The newest dataset version; None where there is none, or none that can be opened."""

    problem: str = ""
    """Why it cannot be opened."""

    read_otherwise: bool = False
    """It is certain that the version was made by another reading than this."""

    rows: tuple[Reread, ...]
    """Every annotation, by task."""

    @property
    def counts(self) -> dict[str, int]:
        """How many annotations are in each state."""
        found = Counter(row.state for row in self.rows)
        return {state: found[state] for state in get_args(State)}

    @property
    def findings(self) -> dict[str, int]:
        """How many findings of the changed annotations are gone, new, of another shape."""
        found = Counter(change.kind for row in self.rows for change in row.changes)
        return {kind: found[kind] for kind in get_args(Kind)}

    @property
    def why_refused(self) -> dict[str, int]:
        """How many annotations are refused, by code."""
        return dict(sorted(Counter(row.code for row in self.rows if row.state == "refused").items()))

    @property
    def refused_that_were_held(self) -> int:
        return sum(row.held for row in self.rows if row.state == "refused")

    @property
    def crumbs(self) -> int:
        return sum(row.crumbs for row in self.rows)

    @property
    def deleted(self) -> int:
        return sum(row.deleted for row in self.rows)

    @property
    def different(self) -> list[Reread]:
        """What the next dataset version has otherwise by how it is read."""
        return [row for row in self.rows if row.matters]

    @property
    def sentence(self) -> str:
        """The summary, in one line."""
        counts, found = self.counts, self.findings
        if self.version is None:
            against = self.problem or "there is no dataset version yet"
            told = [f"{counts['absent']} can be read"]
        else:
            against = f"against dataset version {self.version[:12]}"
            told = [f"{counts['same']} as before", f"{counts['changed']} changed"]
        if counts["changed"]:
            told[-1] += (
                f" (findings: {found['gone']} gone, {found['new']} new, {found['reshaped']} of another shape)"
            )
        refused = f"{counts['refused']} refused"
        if counts["refused"]:
            codes = ", ".join(f"{count} {code}" for code, count in self.why_refused.items())
            refused += (
                f" ({codes}; {self.refused_that_were_held} of them in it)" if self.version else f" ({codes})"
            )
        told.append(refused)
        others = {
            "edited": "edited since",
            "left_out": "for which another counts",
            "absent": "not in it",
        }
        told += [
            f"{counts[state]} {words}"
            for state, words in others.items()
            if counts[state] and not (state == "absent" and self.version is None)
        ]
        told.append(
            f"left out as meant by nobody: {self.crumbs} parts of masks; deleted by a part: {self.deleted} findings"
        )
        return f"annotations read anew, {against}: {', '.join(told)}"

    def to_json(self) -> dict[str, Any]:
        """JSON values: the totals, and each annotation that is neither the same nor simply new."""
        return {
            "dataset_version": self.version,
            "problem": self.problem,
            "read_otherwise": self.read_otherwise,
            **self.counts,
            "findings": self.findings,
            "why_refused": self.why_refused,
            "crumbs": self.crumbs,
            "deleted": self.deleted,
            "annotations": [
                asdict(row) for row in self.rows if row.state not in ("same", "absent") or row.was
            ],
        }
