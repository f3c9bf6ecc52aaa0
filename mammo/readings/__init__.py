"""Double reading (section 4.1 of the paper): two blind readers, agreement, consensus, an arbiter for the rest.

rules.py      when two readings agree, and what they say together
matching.py   which findings of two readings are one lesion
agreement.py  two readings of one image, compared lesion by lesion
kappa.py      agreement on patients beyond chance
consensus.py  two outlines that agree become one
records.py    which projects are read twice, and where the tasks for it are
cases.py      the present state of every image
predictions.py  what the arbiter and a second look are shown
projects.py   projects and tasks in Label Studio, made once and found again
service.py    ReadingService: the steps
summary.py    the figures
"""

from __future__ import annotations

from mammo.readings.cases import Case, Cases, cases_of, consensus_of
from mammo.readings.records import ROLES, DoubleReading, ReadingRecords, Role
from mammo.readings.rules import CONSENSUS_RULES, SECOND_LOOKS, ReadingRules
from mammo.readings.service import ReadingService, Step
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
    "Step",
    "Summary",
    "cases_of",
    "consensus_of",
    "summarise",
]
