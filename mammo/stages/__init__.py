"""The three stages of annotation (section 3.3 of the paper): what the model may do in a project, and when it changes.

assisted         the model answers prompts; nobody sees a prelabel
semi-automatic   every image is prelabelled and reviewed by a person
automatic        predictions whose score reaches a calibrated threshold become annotations without a person; a random
                 audit share, blind tasks, empty predictions and all others still go to people

rules.py         StageRules: the thresholds
calibration.py   the score from which predictions may be accepted without review
evidence.py      Evidence: figures of a project's edit effort
proposal.py      the stage that the rules propose for the evidence, a pure function
log.py           StageLog: each change with its time, author, reason and evidence
withholding.py   tasks without a prelabel
acceptance.py    predictions that become annotations
service.py       StageService: show, set and audit the stages of one installation
"""

from __future__ import annotations

from mammo.stages.acceptance import audited, refusal
from mammo.stages.calibration import Calibration, calibrate, lower_bound
from mammo.stages.evidence import Evidence, Figures
from mammo.stages.log import StageChange, StageLog
from mammo.stages.proposal import Check, Proposal, propose
from mammo.stages.rules import ORDER, Stage, StageRules, rules_of
from mammo.stages.service import StageReport, StageService
from mammo.stages.withholding import Withholding

__all__ = [
    "ORDER",
    "Calibration",
    "Check",
    "Evidence",
    "Figures",
    "Proposal",
    "Stage",
    "StageChange",
    "StageLog",
    "StageReport",
    "StageRules",
    "StageService",
    "Withholding",
    "audited",
    "calibrate",
    "lower_bound",
    "propose",
    "refusal",
    "rules_of",
]
