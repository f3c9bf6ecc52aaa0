"""StageService: shows, proposes and changes the stages of one installation's projects."""

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
from mammo.models import ModelRegistry
from mammo.settings import Settings
from mammo.stages.evidence import Evidence, Figures, gather
from mammo.stages.log import StageChange, StageLog
from mammo.stages.proposal import Proposal, entering, leaving, propose
from mammo.stages.rules import DEFAULT_STAGE, ORDER, Stage, StageRules, rules_of

AUDIT = "yolo-mlsam audit"
"""Who sends a project back when audited quality drops."""

log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True)
class StageReport:
    """Everything about one project."""

    project: int
    stage: Stage
    since: StageChange | None
    """None: it has always been `DEFAULT_STAGE`."""

    evidence: Evidence
    proposal: Proposal
    history: tuple[StageChange, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain values; moments stay `datetime`."""
        return asdict(self)


class StageService:
    """Stages change only here."""

    def __init__(
        self,
        stages: StageLog,
        *,
        efforts: Callable[[int], Efforts],
        serving: Callable[[int], str],
        rules: Callable[[int], StageRules],
        client: LabelStudioClient | None = None,
        can_submit: bool = False,
    ) -> None:
        """
        Args:
            efforts: what the corrections of a project cost.
            serving: the model version of a project.
            client: is told whether annotators see predictions; None: nobody is told.
            can_submit: there is an account for automatic annotations.
        """
        self._stages = stages
        self._efforts = efforts
        self._serving = serving
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
        registry: ModelRegistry,
        client: LabelStudioClient | None,
        tags: TagsLookup,
    ) -> Self:
        """The desk of an installation.

        Args:
            tags: names the control tags of a project, with which its corrections are read.
        """
        pinned = settings.pinned_models
        return cls(
            StageLog(engine),
            efforts=lambda project: effort_records(
                project, store=store, engine=engine, secret=settings.annotator_secret, tags=tags(project)
            ),
            serving=lambda project: pinned.get(project) or registry.champion().version,
            rules=partial(rules_of, settings.stage_rules),
            client=client,
            can_submit=bool(settings.service_api_key.get_secret_value()),
        )

    def show(self, project: int) -> StageReport:
        """The stage, what is measured, what the rules propose, and every change so far.

        Where the corrections cannot be read now, `evidence.problem` says why, and nothing is measured or proposed.
        """
        history = self._stages.history(project)
        since = history[-1] if history else None
        stage = since.stage if since else DEFAULT_STAGE
        rules = self._rules(project)
        evidence = self._evidence(project, since, rules, needed=False)
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
        """Change a stage. Back is always allowed; forward one step, when the rules of that step are met.

        Args:
            override: go forward although they are not, or by two steps; the log says so.
            threshold: of automatic acceptance, instead of the calibrated one; needs `override`.

        Raises:
            StageRefused: says which rules are not met.
            LabelStudioError: the corrections cannot be read now, so it goes back only.
        """
        if not reason.strip() or not actor.strip():
            raise StageRefused("say who changes the stage and why; whoever reads the log will ask")
        since = self._stages.current(project)
        before = since.stage if since else DEFAULT_STAGE
        rules = self._rules(project)
        back = ORDER.index(stage) < ORDER.index(before)
        evidence = self._evidence(project, since, rules, needed=not back)
        unmet = self._unmet(before, stage, evidence, rules)
        if threshold is not None:
            unmet.append(f"the threshold {threshold} is not the calibrated one")
        if unmet and not override:
            raise StageRefused(
                f"project {project} cannot go from {before} to {stage}: {'; '.join(unmet)}. "
                "`--override` does it all the same, and the log keeps that"
            )
        accepts: dict[str, Any] = {}
        if stage == "automatic":
            accepts = self._acceptance(evidence, rules, threshold)
        change = self._stages.add(
            project,
            stage,
            since=since,
            actor=actor,
            reason=reason,
            evidence=evidence.to_json(),
            overruled=bool(unmet),
            **accepts,
        )
        log.warning(
            "a stage was changed", project=project, before=before, stage=stage, overruled=change.overruled
        )
        self._tell(project, stage)
        return change

    def audit(self, project: int) -> StageChange | None:
        """Send an automatic project back if its audited quality has dropped, or another model serves it.

        Returns:
            The change; None: nothing was changed.
        """
        since = self._stages.current(project)
        if since is None or since.stage != "automatic":
            return None
        rules = self._rules(project)
        evidence = self._evidence(project, since, rules)
        checks = leaving("automatic", evidence, rules, calibrated_for=since.model_version)
        bad = [f"{check.name}: {check.measured}" for check in checks if check.met]
        if not bad:
            return None
        change = self._stages.add(
            project,
            "semi-automatic",
            since=since,
            actor=AUDIT,
            reason="; ".join(bad),
            evidence=evidence.to_json(),
        )
        log.warning("automatic annotation has ended", project=project, reason=change.reason)
        return change

    def _evidence(
        self, project: int, since: StageChange | None, rules: StageRules, *, needed: bool = True
    ) -> Evidence:
        """What the corrections say; where it is not needed, also that they cannot be read now."""
        version = self._serving(project)
        try:
            return gather(self._efforts(project), model_version=version, since=since, rules=rules)
        except (LabelStudioError, InvalidRegion) as error:
            if needed:
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
        return (
            [*unmet, f"{ORDER[1]} comes between"]
            if steps > 1
            else (unmet if steps or stage == ORDER[2] else [])
        )

    def _acceptance(self, evidence: Evidence, rules: StageRules, threshold: float | None) -> dict[str, Any]:
        if not self._can_submit:
            raise StageRefused(
                "automatic annotations need an account of their own: make a user in Label Studio for it and set "
                "YOLO_MLSAM_SERVICE_API_KEY to its token",
                code="no_service_account",
            )
        if threshold is None and evidence.calibration is None:
            raise StageRefused(
                "no threshold holds on the corrections so far, so nothing could be accepted; correct more, or name one "
                "with `--threshold` and `--override`",
                code="not_calibrated",
            )
        chosen = (
            threshold if threshold is not None else evidence.calibration and evidence.calibration.threshold
        )
        return {
            "model_version": evidence.model_version,
            "threshold": chosen,
            "audit_share": rules.audit_share,
        }

    def _tell(self, project: int, stage: Stage) -> None:
        """In the assisted stage, predictions that are there already are not shown either."""
        if self._client is None:
            return
        fields: dict[str, Any] = {"show_collab_predictions": stage != "assisted"}
        if stage != "assisted":
            fields["model_version"] = self._serving(project)
        try:
            self._client.update_project(project, **fields)
        except LabelStudioError as error:
            log.warning("Label Studio was not told of a stage", project=project, code=error.code)
