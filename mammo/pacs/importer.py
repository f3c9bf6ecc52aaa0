"""PacsImporter: images that were found become files, and these become tasks of a project."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from sqlalchemy.engine import Engine

from mammo.errors import InvalidSettings
from mammo.exchange.import_target import ImportTarget
from mammo.exchange.importing import Outcome
from mammo.pacs.client import PacsClient
from mammo.pacs.import_order import ImportOrder
from mammo.pacs.importing import PacsOutcome, record_retrieval, retrieve_studies
from mammo.pacs.query import find
from mammo.pacs.retrieving import Retriever

Progress = Callable[[str, Iterable[Any], int], Iterable[Any]]
"""Wraps what is finished, given the stage (`Retrieving`, `Importing`) and the number of all."""

MAX_LISTED = 20
"""Most refusals that a summary quotes."""


@dataclass
class Imported:
    """Result of an import, without anything that names a patient; filled in while it runs."""

    retrieved: PacsOutcome = field(default_factory=PacsOutcome)
    tasks: Outcome = field(default_factory=Outcome)

    @property
    def is_whole(self) -> bool:
        """Whether no image was refused, and none must be looked at by a person."""
        return not (
            self.retrieved.refused or self.retrieved.flagged or self.tasks.refused or self.tasks.listed
        )

    def to_json(self) -> dict[str, Any]:
        refusals = [*self.retrieved.refused, *self.tasks.refused, *self.tasks.listed]
        return {
            "images_new": self.retrieved.num_new,
            "images_present": self.retrieved.num_present,
            "left_out": self.retrieved.skipped,
            "to_be_looked_at": len(self.retrieved.flagged),
            "incomplete_studies": self.retrieved.num_incomplete,
            "tasks_new": self.tasks.num_new,
            "tasks_known": self.tasks.num_known,
            "num_refused": len(refusals),
            "refused": refusals[:MAX_LISTED],
        }


@dataclass(frozen=True, kw_only=True)
class PacsImporter:
    """Imports from a PACS into one project."""

    pacs: PacsClient
    retriever: Retriever
    target: ImportTarget
    engine: Engine
    connections: int
    """Images that are retrieved at once."""

    keeps_identity: bool

    def require_possible(self, order: ImportOrder) -> None:
        """Refuse an order that would leave views out of an exam, where they would look as if they had not been taken.

        Raises:
            InvalidSettings: the tasks of the project show exams, and the order names views, a side or a body part.
        """
        query = order.query
        if self.target.screen == "exam" and (query.view or query.laterality or query.body_part):
            raise InvalidSettings(
                f"the tasks of project {self.target.project} show exams, which are imported as a whole: leave out "
                "view, laterality and body part, or choose a project whose tasks show one image"
            )

    def run(self, order: ImportOrder, *, actor: str, imported: Imported, progress: Progress) -> None:
        """Import what an order names; the same order continues an interrupted import.

        Args:
            actor: who asked for it; in the audit trail.
            imported: filled in meanwhile, so that it is available after an exception.

        Raises:
            InvalidSettings: see `require_possible`.
            PacsError: the PACS cannot be asked; what had arrived of whole studies is imported all the same.
            LabelStudioError: Label Studio does not answer or refuses.
        """
        self.require_possible(order)
        retrieved = imported.retrieved
        found = find(self.pacs, order.query, priors=order.priors, limit=order.limit, offset=order.offset)
        images = list(found)
        try:
            failure = retrieve_studies(
                images,
                self.retriever,
                connections=self.connections,
                outcome=retrieved,
                progress=partial(progress, "Retrieving"),
            )
            self.target.import_(retrieved.files, imported.tasks, partial(progress, "Importing"))
        finally:
            record_retrieval(
                self.engine,
                retrieved,
                project=self.target.project,
                actor=actor,
                keeps_identity=self.keeps_identity,
            )
        if failure is not None:
            raise failure
