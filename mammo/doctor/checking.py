"""Which checks there are, and how they are run."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from mammo.doctor import image_checks, project_checks, schedule_check, server_checks, service_checks
from mammo.doctor.diagnosis import Diagnosis, broken
from mammo.doctor.inspection import Inspection
from mammo.errors import LabelStudioError, MammoError

Check = Callable[[Inspection], Iterable[Diagnosis]]

SERVICE: tuple[Check, ...] = (
    service_checks.check_settings,
    service_checks.check_storage,
    service_checks.check_decoders,
    service_checks.check_queue,
)
CONFIG: tuple[Check, ...] = (server_checks.check_ssrf, project_checks.check_config)
CONNECTION: tuple[Check, ...] = (
    project_checks.check_backends,
    project_checks.check_webhooks,
    project_checks.check_versions,
    schedule_check.check_schedule,
    image_checks.check_local_files,
    image_checks.check_images,
)
"""Of a project, beside `CONFIG`."""


def run_checks(checks: Iterable[Check], inspection: Inspection) -> Iterator[Diagnosis]:
    """Yield the diagnoses of checks. A failing check is reported as a diagnosis."""
    for check in checks:
        try:
            yield from check(inspection)
        except MammoError as error:
            yield broken(check.__name__.removeprefix("check_"), "the check itself failed", str(error))


def missing_project(inspection: Inspection) -> Diagnosis | None:
    """Return why Label Studio does not describe the project; None if it does."""
    try:
        _ = inspection.described
    except LabelStudioError as error:
        if error.code != "label_studio_404":
            return broken("project", f"Label Studio does not return project {inspection.project}", str(error))
        says = f"project {inspection.project} does not exist, or the user of the API key may not see it"
        return broken(
            "project", says, "correct --project, or give the user of the API key access to the project"
        )
    return None
