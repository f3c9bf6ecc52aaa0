"""Second looks: labels that are probably wrong, sent back to their readers, and what the readers answered.

doubt      LabelDoubt: one reason why a label may be wrong
records    DoubtRecords: the doubts of all projects, and their answers
answers    whether a reader's answer says that the label was wrong
precision  which share of the doubts that were answered was right
searches   what a search has compared, in sentences
service    SecondLookService: lists, sends back, and settles what was answered

The doubts are found by `training.second_look`.
"""

from mammo.second_looks.doubt import Cause, LabelDoubt, StoredDoubt
from mammo.second_looks.precision import Precision, precision_by
from mammo.second_looks.searches import learned_sentence, sentences
from mammo.second_looks.service import SecondLookService, Sent

__all__ = [
    "Cause",
    "LabelDoubt",
    "Precision",
    "SecondLookService",
    "Sent",
    "StoredDoubt",
    "learned_sentence",
    "precision_by",
    "sentences",
]
