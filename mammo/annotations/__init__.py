"""What annotators said: an append-only store of Label Studio's events, and the current view of it.

events.py   the body of a webhook becomes revisions of annotations
view.py     the history of revisions becomes the current view, by a pure function
writer.py   each write is one transaction, flushed to the disk
appending.py   the statements that write
prelabels.py   what models proposed, shown to annotators or silent
made_on.py     what a correction was made on
history.py     the current view without contents, from an index
automatic.py   which annotations are a prediction that no person has seen
store.py    AnnotationStore: append, corrections, prelabels
reconciling.py   what Label Studio shows and the store does not know is appended
"""

from __future__ import annotations

from mammo.annotations.appending import Receipt
from mammo.annotations.events import RECONCILED, Revision, project_of, revisions_of
from mammo.annotations.made_on import CorrectionOutline, Proposal, shown_proposal, silent_proposal
from mammo.annotations.prelabels import Prelabel
from mammo.annotations.reconciling import Reconciliation, reconcile
from mammo.annotations.store import AnnotationStore, Correction, Told
from mammo.annotations.view import Heading, current_view

__all__ = [
    "RECONCILED",
    "AnnotationStore",
    "Correction",
    "CorrectionOutline",
    "Heading",
    "Prelabel",
    "Proposal",
    "Receipt",
    "Reconciliation",
    "Revision",
    "Told",
    "current_view",
    "project_of",
    "reconcile",
    "revisions_of",
    "shown_proposal",
    "silent_proposal",
]
