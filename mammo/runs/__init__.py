"""Runs: retrains as rows of the database, so that neither a killed process nor a lost queue loses one."""

from mammo.runs.claims import ALREADY_TAKEN, Claim, RunLedger, claim, owner_is_alive, this_process
from mammo.runs.failures import Failure, classify
from mammo.runs.quiet_hours import QuietHours
from mammo.runs.records import Asked, Run, RunEvent, Runs
from mammo.runs.service import RunService, Started
from mammo.runs.states import ENDED, RESUMABLE, WORKING, State, Trigger
from mammo.runs.trainable import require_trainable, why_never_trained_from

__all__ = [
    "ALREADY_TAKEN",
    "ENDED",
    "RESUMABLE",
    "WORKING",
    "Asked",
    "Claim",
    "Failure",
    "QuietHours",
    "Run",
    "RunEvent",
    "RunLedger",
    "RunService",
    "Runs",
    "Started",
    "State",
    "Trigger",
    "claim",
    "classify",
    "owner_is_alive",
    "require_trainable",
    "this_process",
    "why_never_trained_from",
]
