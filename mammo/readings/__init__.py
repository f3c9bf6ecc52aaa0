"""Double reading (section 4.1 of the paper): two blind readers, their agreement, consensus, and an arbiter.

rules.py        ReadingRules: thresholds of agreement, consensus rule, rounds
matching.py     one-to-one matching of the lesions of two readings
agreement.py    Agreement: Dice and boundary distance of each matched lesion
kappa.py        Cohen's kappa of lesion presence per patient, and of words
consensus.py    two readings that agree become one set of findings
records.py      ReadingRecords: double readings, reader projects and their tasks in the database
cases.py        Case: the current state of each image
predictions.py  earlier readings as predictions for the arbiter and for a second look
projects.py     reader projects and their tasks in Label Studio
service.py      ReadingService: create, sync, second look, arbitrate
summary.py      progress and agreement figures
"""

from __future__ import annotations

from mammo.readings.cases import Case, Cases, cases_of, consensus_of
from mammo.readings.records import ROLES, DoubleReading, ReadingRecords, Role
from mammo.readings.rules import CONSENSUS_RULES, SECOND_LOOKS, ReadingRules
from mammo.readings.service import ReadingService, StepResult
from mammo.readings.summary import Summary, summarise

__all__ = [
    "CONSENSUS_RULES",
    "ROLES",
    "SECOND_LOOKS",
    "Case",
    "Cases",
    "DoubleReading",
    "ReadingRecords",
    "ReadingRules",
    "ReadingService",
    "Role",
    "StepResult",
    "Summary",
    "cases_of",
    "consensus_of",
    "summarise",
]
