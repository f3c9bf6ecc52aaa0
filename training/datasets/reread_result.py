"""Rereading: how the annotations of a project are read now, compared with its newest dataset version."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

State = Literal["same", "changed", "refused", "left_out", "edited", "absent"]
"""State of an annotation, compared with the newest dataset version.

    same       its findings are the same
    changed    it has not been edited, but its findings differ
    refused    it cannot be read; the next dataset version excludes it
    left_out   another annotation of the image supersedes it, or two readers dispute the image
    edited     a person has edited it since
    absent     it can be read, but the dataset version does not contain it
"""

Kind = Literal["gone", "new", "reshaped"]


@dataclass(frozen=True, kw_only=True)
class FindingChange:
    """One finding that differs."""

    kind: Kind
    """`reshaped`: the overlap of its boxes or masks is below `mammo.efforts.edit_effort.MIN_OVERLAP`."""

    number: int
    """From 1: number in the dataset version; of a new finding, its number now."""

    box: tuple[int, int, int, int]
    """x0, y0, x1, y1 in pixels: in the dataset version; of a new finding, now."""

    image: str = ""
    """Key of the image among those of the task; empty for the only one."""

    overlap: float | None = None
    """Dice of the masks, or IoU of the boxes if one has no mask; None for gone and new findings."""


@dataclass(frozen=True, kw_only=True)
class Reread:
    """One annotation. The fields are those of the JSON output."""

    annotation: int
    task: int
    state: State
    held: bool
    """Whether the dataset version contains it, in this or an earlier revision."""

    was: str = ""
    """Code for which the dataset version excluded it; empty if it did not."""

    code: str = ""
    """Why it is refused or left out now; stable."""

    reason: str = ""
    before: int | None = None
    """Number of findings in the dataset version; None if it is not contained."""

    now: int | None = None
    """Number of findings as it is read now; None if it is not read."""

    changes: tuple[FindingChange, ...] = ()
    crumbs: int = 0
    """Number of mask fragments that are dropped as too small to be intended."""

    deleted: int = 0
    """Number of prelabelled findings that were deleted by deleting a part of them."""

    @property
    def matters(self) -> bool:
        """Whether the next dataset version will differ because of how this annotation is read, not of an edit."""
        disputed = self.state == "left_out" and self.code == "disputed"
        return self.state == "changed" or (self.held and (self.state == "refused" or disputed))


@dataclass(frozen=True, kw_only=True)
class Rereading:
    """All annotations of a project."""

    project: int
    version: str | None
    """The newest dataset version; None if there is none, or it cannot be opened."""

    problem: str = ""
    """Why it cannot be opened."""

    read_otherwise: bool = False
    """Whether it is certain that the dataset version was read by other rules than the current ones."""

    rows: tuple[Reread, ...]
    """Every annotation, by task."""

    @property
    def counts(self) -> dict[str, int]:
        """Number of annotations in each state."""
        counter = Counter(row.state for row in self.rows)
        return {state: counter[state] for state in get_args(State)}

    @property
    def findings(self) -> dict[str, int]:
        """Number of gone, new and reshaped findings of the changed annotations."""
        counter = Counter(change.kind for row in self.rows for change in row.changes)
        return {kind: counter[kind] for kind in get_args(Kind)}

    @property
    def why_refused(self) -> dict[str, int]:
        """Number of refused annotations, by code."""
        return dict(sorted(Counter(row.code for row in self.rows if row.state == "refused").items()))

    @property
    def refused_that_were_held(self) -> int:
        """Number of refused annotations that the dataset version contains."""
        return sum(row.held for row in self.rows if row.state == "refused")

    @property
    def crumbs(self) -> int:
        return sum(row.crumbs for row in self.rows)

    @property
    def deleted(self) -> int:
        return sum(row.deleted for row in self.rows)

    @property
    def different(self) -> list[Reread]:
        """The annotations whose reading makes the next dataset version differ."""
        return [row for row in self.rows if row.matters]

    @property
    def sentence(self) -> str:
        """The summary, in one line."""
        counts = self.counts
        if self.version is None:
            header = f"annotations read again ({self.problem or 'there is no dataset version yet'})"
            parts = [f"{counts['absent']} readable", self._refused_part()]
        else:
            header = f"annotations compared with dataset version {self.version[:12]}"
            parts = [f"{counts['same']} unchanged", self._changed_part(), self._refused_part()]
        states = {"edited": "edited since", "left_out": "superseded or disputed"}
        if self.version is not None:
            states["absent"] = "not contained in it"
        parts += [f"{counts[state]} {words}" for state, words in states.items() if counts[state]]
        parts.append(f"{self.crumbs} mask fragments dropped")
        parts.append(f"{self.deleted} findings deleted by deleting a part")
        return f"{header}: {', '.join(parts)}"

    def _changed_part(self) -> str:
        kinds = ", ".join(f"{count} {kind}" for kind, count in self.findings.items())
        changed = self.counts["changed"]
        return f"{changed} changed (findings: {kinds})" if changed else f"{changed} changed"

    def _refused_part(self) -> str:
        codes = ", ".join(f"{count} {code}" for code, count in self.why_refused.items())
        if codes and self.version is not None:
            codes += f"; {self.refused_that_were_held} of them contained in it"
        return f"{self.counts['refused']} refused" + (f" ({codes})" if codes else "")

    def to_json(self) -> dict[str, Any]:
        """JSON values: the totals, and every annotation that is neither the same nor new."""
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
