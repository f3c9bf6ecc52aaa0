"""Settings of retrains and of the gate, and when retrains start; a part of `mammo.settings.Settings`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from croniter import croniter
from pydantic import AfterValidator, Field, field_validator
from pydantic_settings import BaseSettings

from mammo.setting_values import hours, zone

RecipeName = Literal["finetune", "demo", "smoke", "paper"]
"""Recipes of a retrain, defined in `training.retrain.recipes`."""

RequestedRecipe = Literal["finetune", "demo", "smoke", "paper", "provisional"]
"""What may be asked for: a retrain, or a provisional model."""

MIN_CORRECTIONS, MIN_CORRECTED_PATIENTS = 5, 2
"""Fewest corrected images, and fewest of their patients, from which a provisional model is made."""

MIN_TEST_PATIENTS: Mapping[RecipeName, int] = {"finetune": 8, "paper": 8, "demo": 2, "smoke": 2}
"""Fewest held-out patients with which the gate of each recipe decides; those of `training.retrain.recipes`."""


class TrainingSettings(BaseSettings):
    """How and when a project's models are retrained, and what a challenger must show."""

    dataset_sources: str = "arbiter,consensus,single"
    """Sources of the annotations in dataset versions, preferred first; a source that is not listed is not used."""

    train_after: int = Field(0, ge=0)
    """Number of new corrections that start a retrain automatically; 0: only on request."""

    train_schedule: dict[int, str] = Field(default_factory=dict)
    """Cron expressions by project, as JSON, of retrains that start if there are new corrections."""

    train_least_patients: int = Field(0, ge=0)
    """Fewest patients among the new corrections for an automatic retrain; 0: any."""

    provisional_after: int = Field(0, ge=0)
    """New corrections of two patients or more, at least 5, that start a run for a provisional model by itself; 0: none
    does. Only while there are too few patients for the gate."""

    quiet_hours: Annotated[str, AfterValidator(hours)] = ""
    """Hours in which no automatic retrain starts, for example `07:00-19:00`; it starts after their end."""

    time_zone: Annotated[str, AfterValidator(zone)] = "UTC"
    """Time zone of schedule and quiet hours, for example `Europe/Zurich`."""

    recipe: RecipeName = "finetune"
    """Recipe of retrains."""

    train_processes: int = Field(1, ge=1)
    """Processes that train the segmenter of one job, one for each GPU that the job can use."""

    gate_primary: Literal["", "mean", "sensitivity", "dice"] = ""
    """Figure that a challenger must improve to be promoted; empty: the recipe's, `mean` of the two others."""

    gate_confidence: float | None = Field(None, gt=0, lt=1)
    """Least share of bootstrap samples in which a challenger must be better; None: the recipe's, 0.95 in `finetune`."""

    gate_min_patients: int | None = Field(None, ge=2)
    """Fewest held-out patients that allow a promotion; None: the recipe's, 8 in `finetune`."""

    def min_test_patients(self, recipe: RecipeName) -> int:
        """Return the fewest held-out patients with which the gate of a recipe decides here."""
        return self.gate_min_patients or MIN_TEST_PATIENTS[recipe]

    @field_validator("provisional_after")
    @classmethod
    def _enough(cls, value: int) -> int:
        if 0 < value < MIN_CORRECTIONS:
            raise ValueError(f"expected 0, or at least {MIN_CORRECTIONS} corrections")
        return value

    @field_validator("dataset_sources")
    @classmethod
    def _sources(cls, value: str) -> str:
        sources = [each.strip() for each in value.split(",")]
        if len(set(sources)) != len(sources) or not set(sources) <= {"arbiter", "consensus", "single"}:
            raise ValueError(
                "expected one or more of arbiter, consensus and single, each once, comma separated"
            )
        return ",".join(sources)

    @field_validator("train_schedule")
    @classmethod
    def _cron(cls, value: dict[int, str]) -> dict[int, str]:
        if not all(croniter.is_valid(each) and len(each.split()) == 5 for each in value.values()):
            raise ValueError("expected a cron expression of five fields for each project, such as 0 20 * * 5")
        return value
