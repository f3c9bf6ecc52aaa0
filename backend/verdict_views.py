"""VerdictView: what the console and the API show of a run's verdict: its figures, and its places by page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import ceil
from typing import Any

from mammo.identifiers import pseudonym
from mammo.runs import Run
from mammo.verdicts.places import Kind, Place
from mammo.verdicts.record import Found, Picture, VerdictRecord
from mammo.verdicts.report import verdict_facts

PAGE = 24
"""Places on a page."""


@dataclass(frozen=True)
class VerdictView:
    """One page of the places of a verdict, beside its figures."""

    facts: dict[str, Any]
    """See `mammo.verdicts.report.verdict_facts`."""

    only: Kind | None
    page: int
    num_pages: int
    shown: Sequence[Place]

    @classmethod
    def of(
        cls, record: VerdictRecord, run: Run, *, pictures: str, only: Kind | None, page: int
    ) -> VerdictView:
        """Return a page; the last one in place of one beyond it.

        Args:
            pictures: address below which pictures are served by their SHA-256.
            only: kind of the places; None: all.
            page: from 1.
        """

        def address(picture: Picture) -> str:
            return f"{pictures}/{picture.sha256}"

        facts = verdict_facts(record, run, address=address)
        chosen = [each for each in facts["places"] if only is None or each.kind == only]
        num_pages = max(1, ceil(len(chosen) / PAGE))
        page = min(page, num_pages)
        return cls(facts, only, page, num_pages, chosen[(page - 1) * PAGE : page * PAGE])

    def to_json(self) -> dict[str, Any]:
        """Return the page as a JSON object."""
        record: VerdictRecord = self.facts["record"]
        return {
            "run": record.run,
            "project": record.project,
            "promote": record.promote,
            "reason": record.reason,
            "verdict": record.verdict,
            "champion": record.champion.model_dump(),
            "challenger": record.challenger.model_dump(),
            "figures": [
                {"name": name, "champion": old, "challenger": new, "allowed_loss": margin}
                for name, old, new, margin in self.facts["rows"]
            ],
            "strata": [
                {"title": title, "rows": [asdict(row) for row in rows]}
                for title, rows in self.facts["strata"]
            ],
            "counts": {kind: self.facts["counts"][kind] for kind in self.facts["kinds"]},
            "without_picture": self.facts["without_picture"],
            "left_out": record.left_out.model_dump() if record.left_out else None,
            "only": self.only,
            "page": self.page,
            "pages": self.num_pages,
            "places": [self._place(each) for each in self.shown],
        }

    def _place(self, place: Place) -> dict[str, Any]:
        crop: Picture | None = self.facts["crops"][place.key]
        image = place.image
        return {
            "key": place.key,
            "kind": place.kind,
            "image": place.number,
            "part": image.part,
            "view": image.view,
            "task": image.task,
            "patient": image.patient,
            "pseudonym": pseudonym(image.patient),
            "box": list(place.box.as_tuple()),
            "diameter_mm": place.lesion.diameter_mm if place.lesion else None,
            "champion": _found(place.champion, place.champion_best),
            "challenger": _found(place.challenger, place.challenger_best),
            "picture": self.facts["addresses"][place.key],
            "frame": list(crop.frame) if crop else None,
        }


def _found(found: Found | None, best: float | None) -> dict[str, Any] | None:
    """What a model found at a place; below its operating point only the score is known."""
    if found is not None:
        return {"shown": True, "score": found.score, "dice": found.dice}
    return None if best is None else {"shown": False, "score": best, "dice": None}
