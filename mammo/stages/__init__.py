"""The three stages of annotation (section 3.3 of the paper): what the model may do in a project, and how that changes.

assisted         the model answers prompts; nobody sees a prelabel
semi-automatic   every image is prelabelled, and reviewed by a person
automatic        predictions whose score passes a calibrated threshold become annotations without a person; a random
                 audit share, blind tasks, empty predictions and all others still go to people

rules.py         the thresholds
calibration.py   from which score on a prediction may stand unseen
evidence.py      what edit effort says about a project
proposal.py      evidence and rules become a proposal: a pure function
log.py           the audit log: each change, who, when, why, on what evidence
withholding.py   who gets no prelabel
acceptance.py    which prediction becomes an annotation
desk.py          all of it for one installation
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
