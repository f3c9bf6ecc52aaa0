"""StageService: shows, proposes and changes the stages of an installation's projects."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, Self

import structlog
from sqlalchemy.engine import Engine

from mammo.annotations import AnnotationStore
from mammo.efforts.effort_records import Efforts, effort_records
from mammo.errors import InvalidRegion, LabelStudioError, StageRefused
from mammo.labelstudio.client import LabelStudioClient
from mammo.labelstudio.project_tags import TagsLookup
from mammo.settings import Settings
from mammo.stages.evidence import Evidence, Figures, gather
from mammo.stages.log import Acceptance, StageChange, StageLog
from mammo.stages.proposal import Proposal, entering, leaving, propose
from mammo.stages.rules import DEFAULT_STAGE, ORDER, Stage, StageRules, rules_of

AUDIT = "yolo-mlsam audit"
"""Author of the change that sends a project back when audited quality drops."""

log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True)
class StageReport:
    """Stage, evidence and history of one project."""

    project: int
    stage: Stage
    since: StageChange | None
    """Last change of the stage; None if it has always been `DEFAULT_STAGE`."""

    evidence: Evidence
    proposal: Proposal
    history: tuple[StageChange, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the report as a JSON object; times stay `datetime`."""
        return asdict(self)


class StageService:
    """The only place where stages change."""

    def __init__(
        self,
        stages: StageLog,
        *,
        efforts: Callable[[int], Efforts],
        served_version: Callable[[int], str],
        rules: Callable[[int], StageRules],
        client: LabelStudioClient | None = None,
        can_submit: bool = False,
    ) -> None:
        """
        Args:
            efforts: Returns the edit effort of a project's corrections.
            served_version: Returns the model version that serves a project.
            rules: Returns the rules of a project.
            client: Shows or hides predictions in Label Studio; None: Label Studio is not changed.
            can_submit: Whether there is an account for automatic annotations.
        """
        self._stages = stages
        self._efforts = efforts
        self._served_version = served_version
        self._rules = rules
        self._client = client
        self._can_submit = can_submit

    @classmethod
    def of(
        cls,
        settings: Settings,
        *,
        store: AnnotationStore,
        engine: Engine,
        client: LabelStudioClient | None,
        tags: TagsLookup,
        served_version: Callable[[int], str],
    ) -> Self:
        """Build the service of an installation.

        Args:
            tags: Returns the control tags of a project, with which its corrections are interpreted.
            served_version: Returns the model version that serves a project.
        """
        return cls(
            StageLog(engine),
            efforts=lambda project: effort_records(
                project, store=store, engine=engine, secret=settings.annotator_secret, tags=tags(project)
            ),
            served_version=served_version,
            rules=partial(rules_of, settings.stage_rules),
            client=client,
            can_submit=bool(settings.service_api_key.get_secret_value()),
        )

    def show(self, project: int) -> StageReport:
        """Return the stage of a project, its evidence, the proposal of the rules, and all changes.

        If the corrections cannot be read now, `evidence.problem` says why, and there are no figures and no proposal.
        """
        history = self._stages.history(project)
        since = history[-1] if history else None
        stage = since.stage if since else DEFAULT_STAGE
        rules = self._rules(project)
        evidence = self._evidence(project, since, rules, required=False)
        proposal = propose(stage, evidence, rules, calibrated_for=since.model_version if since else None)
        return StageReport(
            project=project,
            stage=stage,
            since=since,
            evidence=evidence,
            proposal=proposal,
            history=tuple(history),
        )

    def set(
        self,
        project: int,
        stage: Stage,
        *,
        actor: str,
        reason: str,
        override: bool = False,
        threshold: float | None = None,
    ) -> StageChange:
        """Change a stage: back at any time, forward by one step if the rules of that step are met.

        Args:
            override: Go forward although the rules are not met, or by two steps; the log records it.
            threshold: Lowest score of automatic acceptance, instead of the calibrated one; requires `override`.

        Raises:
            StageRefused: The rules are not met; the message names them.
            LabelStudioError: The corrections cannot be read now, so the project can only go back.
        """
        if not reason.strip() or not actor.strip():
            raise StageRefused(
                "a change of stage needs an author and a reason for the audit log, got an empty one"
            )
        since = self._stages.current(project)
        before = since.stage if since else DEFAULT_STAGE
        rules = self._rules(project)
        is_backward = ORDER.index(stage) < ORDER.index(before)
        evidence = self._evidence(project, since, rules, required=not is_backward)
        unmet = self._unmet(before, stage, evidence, rules)
        if threshold is not None:
            unmet.append(f"the threshold {threshold} is not the calibrated one")
        if unmet and not override:
            raise StageRefused(
                f"project {project} cannot go from {before} to {stage}: {'; '.join(unmet)}. "
                "`--override` changes it all the same, and the audit log records that"
            )
        acceptance = self._acceptance(evidence, rules, threshold) if stage == "automatic" else None
        change = self._stages.add(
            project,
            stage,
            since=since,
            actor=actor,
            reason=reason,
            evidence=evidence.to_json(),
            overruled=bool(unmet),
            acceptance=acceptance,
        )
        log.warning("stage changed", project=project, before=before, stage=stage, overruled=change.overruled)
        self._show_predictions(project, stage)
        return change

    def audit(self, project: int) -> StageChange | None:
        """Send an automatic project back if its audited quality has dropped, or another model serves it.

        Returns:
            The change; None if nothing was changed.
        """
        since = self._stages.current(project)
        if since is None or since.stage != "automatic":
            return None
        rules = self._rules(project)
        evidence = self._evidence(project, since, rules)
        checks = leaving("automatic", evidence, rules, calibrated_for=since.model_version)
        failed = [f"{check.name}: {check.measured}" for check in checks if check.met]
        if not failed:
            return None
        change = self._stages.add(
            project,
            "semi-automatic",
            since=since,
            actor=AUDIT,
            reason="; ".join(failed),
            evidence=evidence.to_json(),
        )
        log.warning("automatic annotation ended by the audit", project=project, reason=change.reason)
        return change

    def _evidence(
        self, project: int, since: StageChange | None, rules: StageRules, *, required: bool = True
    ) -> Evidence:
        """Compute the evidence; if it is not required, report an error of reading the corrections as its `problem`."""
        version = self._served_version(project)
        try:
            return gather(self._efforts(project), model_version=version, since=since, rules=rules)
        except (LabelStudioError, InvalidRegion) as error:
            if required:
                raise
            return Evidence(
                model_version=version,
                prelabelled=Figures(),
                control=Figures(),
                calibration=None,
                problem=str(error),
            )

    @staticmethod
    def _unmet(before: Stage, stage: Stage, evidence: Evidence, rules: StageRules) -> list[str]:
        steps = ORDER.index(stage) - ORDER.index(before)
        if steps < 0:
            return []
        unmet = [
            f"{check.name}: {check.measured}, needed {check.needed}"
            for check in entering(stage, evidence, rules)
            if not check.met
        ]
        if steps > 1:
            return [*unmet, f"{ORDER[1]} comes between"]
        return unmet if steps or stage == ORDER[2] else []

    def _acceptance(self, evidence: Evidence, rules: StageRules, threshold: float | None) -> Acceptance:
        if not self._can_submit:
            raise StageRefused(
                "automatic annotations need an account of their own: create a user for it in Label Studio, and set "
                "YOLO_MLSAM_SERVICE_API_KEY to its token",
                code="no_service_account",
            )
        if threshold is None:
            if evidence.calibration is None:
                raise StageRefused(
                    "no threshold holds on the corrections so far, so nothing could be accepted; correct more images, "
                    "or give a threshold with `--threshold` and `--override`",
                    code="not_calibrated",
                )
            threshold = evidence.calibration.threshold
        return Acceptance(
            model_version=evidence.model_version, threshold=threshold, audit_share=rules.audit_share
        )

    def _show_predictions(self, project: int, stage: Stage) -> None:
        """Show or hide existing predictions in Label Studio; the assisted stage hides them."""
        if self._client is None:
            return
        fields: dict[str, Any] = {"show_collab_predictions": stage != "assisted"}
        if stage != "assisted":
            fields["model_version"] = self._served_version(project)
        try:
            self._client.update_project(project, **fields)
        except LabelStudioError as error:
            log.warning(
                "visibility of predictions could not be set in Label Studio", project=project, code=error.code
            )
