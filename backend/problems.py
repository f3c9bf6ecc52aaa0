"""Problems: what `doctor` finds wrong with the installation and its projects, checked in the background."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from backend.refreshed import Figure, Refreshed
from mammo.audit import append
from mammo.database import writing
from mammo.doctor.checking import CONFIG, CONNECTION, SERVICE, missing_project, run_checks
from mammo.doctor.diagnosis import Diagnosis
from mammo.doctor.inspection import Inspection
from mammo.doctor.server_checks import check_server
from mammo.errors import RepairRefused
from mammo.site import Site

INSTALLATION = 0
"""In place of a project: the checks that need none."""

EVERY = timedelta(minutes=10)
"""Age from which the checks are run again when somebody looks; they ask Label Studio, and open a few images."""


@dataclass(frozen=True)
class Problem:
    """One fault, and what to do."""

    project: int
    """`INSTALLATION`, or the project that has it."""

    diagnosis: Diagnosis

    @property
    def can_be_repaired(self) -> bool:
        return self.diagnosis.repair is not None

    def to_json(self) -> dict[str, Any]:
        """Return the problem as a JSON object."""
        each = self.diagnosis
        return {
            "project": self.project or None,
            "check": each.check,
            "state": each.state,
            "says": each.says,
            "remedy": each.remedy,
            "repairable": self.can_be_repaired,
        }


class Problems:
    """Checks a site. Safe to share between threads."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._found: Refreshed[int, Sequence[Problem]] = Refreshed(self._examine, every=EVERY, patience=0.0)

    def of(self, project: int) -> Figure[Sequence[Problem]]:
        """Return what is wrong with a project, or with the `INSTALLATION`, as of the last check."""
        return self._found.get(project)

    def repair(self, project: int, check: str, *, actor: str) -> None:
        """Repair a fault that the last check has found, and check again.

        Raises:
            RepairRefused: no such fault is known, or it cannot be repaired from here.
            MammoError: the repair failed.
        """
        known = self._found.get(project).value or ()
        found = next((each for each in known if each.diagnosis.check == check and each.can_be_repaired), None)
        if found is None or found.diagnosis.repair is None:
            raise RepairRefused(
                f"the last check has found no {check!r} that can be repaired from here; reload the page"
            )
        try:
            found.diagnosis.repair()
        except OSError as error:
            raise RepairRefused(f"{check} could not be repaired: {error.strerror}") from error
        with writing(self._site.engine) as connection:
            subject = f"project {project}" if project else "installation"
            reason = f"{check}: {found.diagnosis.says}"[:1000]
            append(connection, actor=actor, action="problem repaired", subject=subject, reason=reason)
        self._found.forget(project)

    def close(self) -> None:
        """Start no check any more."""
        self._found.close()

    def _examine(self, project: int) -> Sequence[Problem]:
        inspection = Inspection(site=self._site, project=project or None)
        if project == INSTALLATION:
            diagnoses = [*run_checks((*SERVICE, check_server), inspection)]
        elif inspection.client is None:  # said once, of the installation
            diagnoses = []
        elif (missing := missing_project(inspection)) is not None:
            diagnoses = [missing]
        else:
            diagnoses = [*run_checks((*CONFIG, *CONNECTION), inspection)]
        return [Problem(project, each) for each in diagnoses if each.state in ("broken", "warning")]
