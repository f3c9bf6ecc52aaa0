"""Annotation store: an append-only log of Label Studio's events, and the current view computed from it.

events.py        the body of a webhook becomes revisions of annotations
deletion_times.py    when something was deleted, by Label Studio's clock
stated_sizes.py  what regions state about their image, checked before anything is decoded
view.py          the current view of a history of revisions, a pure function
writer.py        each write is one transaction, flushed to the disk
appending.py     the statements that write
store.py         AnnotationStore: append events, read corrections
prelabels.py     predictions of models, shown to annotators or silent, and the images they were made for
headers.py       corrections and prelabels without their content; the prelabel that a correction is compared with
history.py       the history of a project, read from an index
automatic.py     annotations submitted by this service without a person
reconciling.py   append what Label Studio shows and the store has missed
"""

from __future__ import annotations

from mammo.annotations.appending import Receipt
from mammo.annotations.events import RECONCILED, Revision, project_of, revisions_of
from mammo.annotations.headers import CorrectionHeader, PrelabelHeader, shown_prelabel, silent_prelabel
from mammo.annotations.prelabels import Prelabel
from mammo.annotations.reconciling import Reconciliation, reconcile
from mammo.annotations.store import AnnotationEvent, AnnotationStore, Correction, DatasetFacts, NewCorrections
from mammo.annotations.view import RevisionHeader, current_view

__all__ = [
    "RECONCILED",
    "AnnotationEvent",
    "AnnotationStore",
    "Correction",
    "CorrectionHeader",
    "DatasetFacts",
    "NewCorrections",
    "Prelabel",
    "PrelabelHeader",
    "Receipt",
    "Reconciliation",
    "Revision",
    "RevisionHeader",
    "current_view",
    "project_of",
    "reconcile",
    "revisions_of",
    "shown_prelabel",
    "silent_prelabel",
]
