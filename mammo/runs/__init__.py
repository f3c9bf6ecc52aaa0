"""Runs: retrains as rows of the database, so that neither a killed process nor a lost queue loses one.

states.py       states of a run and their transitions
run.py          Run and RunEvent: a run as its row says, a line of its log
records.py      Runs: request, show, cancel and resume runs
claims.py       which process works on a run, and what it may write
service.py      RunService: runs and the jobs that tell workers of them
jobs.py         job queue: names, status
payloads.py     the arguments of a job, as JSON
failures.py     why a run failed, for a person
quiet_hours.py  hours in which no run starts by itself
trainable.py    projects that may be trained on
"""

from mammo.runs.claims import ALREADY_TAKEN, Claim, RunLedger, claim, owner_is_alive, this_process
from mammo.runs.failures import Failure, classify
from mammo.runs.quiet_hours import QuietHours
from mammo.runs.records import RunRequest, Runs
from mammo.runs.run import Run, RunEvent
from mammo.runs.service import RunService, Started
from mammo.runs.states import ENDED, RESUMABLE, WORKING, State, Trigger, is_provisional
from mammo.runs.trainable import require_trainable, why_not_trainable

__all__ = [
    "ALREADY_TAKEN",
    "ENDED",
    "RESUMABLE",
    "WORKING",
    "Claim",
    "Failure",
    "QuietHours",
    "Run",
    "RunEvent",
    "RunLedger",
    "RunRequest",
    "RunService",
    "Runs",
    "Started",
    "State",
    "Trigger",
    "claim",
    "classify",
    "is_provisional",
    "owner_is_alive",
    "require_trainable",
    "this_process",
    "why_not_trainable",
]
