"""Patients in the paths of files, so that all views of one patient are on the same side of a split.

There is no default pattern: the text before the first `_` or `/` is a patient in one data set, and the folder `images`
or the hash of an upload to Label Studio in another. The user gives a pattern, and a pattern that finds the same patient
in every path is questioned.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from mammo.errors import InvalidSettings
from mammo.exchange.datasets.contents import DatasetImage, DatasetOptions
from mammo.exchange.export.labelled_image import Refusal
from mammo.identifiers import identifier
from mammo.printable import printable

MAX_PATH = 1000
"""Characters of a path in which a patient is searched."""

NUM_EXAMPLES = 3
"""Number of paths in a question."""

SUGGESTION = r"^(?:.*/)?(?:[0-9a-f]{8}-)?([^_/]+)_"
"""Pattern of the text before the first `_` of a file's name, after any folder and upload hash."""


@dataclass(frozen=True)
class PatientRule:
    """How patients are found in paths."""

    pattern: re.Pattern[str] | None
    everyone: str | None = None
    """Identifier of the only patient; None if there are several."""

    @classmethod
    def of_options(cls, options: DatasetOptions) -> PatientRule:
        """Return the rule in the options.

        Raises:
            InvalidSettings: the pattern is not a regular expression with exactly one group, or both a pattern and one
                patient are given.
        """
        if options.one_patient and options.patient_pattern is not None:
            raise InvalidSettings("give either --patient-pattern or --one-patient, not both")
        pattern = None if options.patient_pattern is None else patient_pattern(options.patient_pattern)
        return cls(pattern, f"everyone in {options.folder.resolve().name}" if options.one_patient else None)

    def of(self, path: str) -> str:
        """Return the patient in a path; empty if there is none.

        Raises:
            InvalidTaskData: the match of the pattern is not valid text.
        """
        if self.everyone is not None:
            return self.everyone
        return patient_of(path, self.pattern) if self.pattern else ""

    def question(self, paths: Sequence[str]) -> str | None:
        """Return a question to the user if the rule does not distinguish patients; None if it does.

        Args:
            paths: of the images whose patient only the path can identify.
        """
        if self.everyone is not None or not paths:
            return None
        if self.pattern is None:
            return f"the patients of {len(paths)} images are unknown. {_advice(paths)}"
        names = {self.of(path) for path in paths} - {""}
        if len(names) != 1 or len(paths) == 1:
            return None
        only = printable(next(iter(names)), length=40)
        return f"--patient-pattern finds one patient, {only!r}, in {len(paths)} paths. {_advice(paths)}"


def with_patients(
    items: Sequence[DatasetImage | Refusal], rule: PatientRule
) -> tuple[list[DatasetImage | Refusal], str | None]:
    """Return the items with the patients in their paths, and a question if the rule does not distinguish patients.

    If it does not, the items have no patient. A single image without a rule gets the patient that `SUGGESTION` finds,
    because there is no other image to distinguish it from.
    """
    by_path = [item for item in items if isinstance(item, DatasetImage) and item.path is not None]
    paths = [item.path for item in by_path if item.path is not None]
    question = rule.question(paths)
    is_single = len(by_path) == 1 and rule.pattern is None and rule.everyone is None
    if question is None and not is_single:
        return list(items), None
    patient = patient_of(paths[0], re.compile(SUGGESTION)) if is_single else ""
    changed = {id(item): replace(item, patient=patient) for item in by_path}
    return [changed.get(id(item), item) for item in items], question


def patient_pattern(pattern: str) -> re.Pattern[str]:
    """Return the compiled pattern.

    Raises:
        InvalidSettings: it is not a regular expression with exactly one group.
    """
    try:
        compiled = re.compile(pattern)
    except re.error:
        raise InvalidSettings("--patient-pattern is not a valid regular expression") from None
    if compiled.groups != 1:
        raise InvalidSettings(
            f"expected --patient-pattern to have exactly one group, the patient, got {compiled.groups}"
        )
    return compiled


def patient_of(path: str, pattern: re.Pattern[str]) -> str:
    """Return the normalised match of a pattern's group in a path; empty if there is none."""
    match = pattern.search(path[:MAX_PATH])
    return identifier(match[1]) or "" if match else ""


def _advice(paths: Sequence[str]) -> str:
    suggestion = re.compile(SUGGESTION)
    examples = ", ".join(
        f"{printable(path, length=60)} ({printable(patient_of(path, suggestion) or 'nobody', length=30)})"
        for path in sorted(set(paths))[:NUM_EXAMPLES]
    )
    return (
        f"Give --patient-pattern, a regular expression whose group is the patient; '{SUGGESTION}' would find: "
        f"{examples}. Use '(.+)' if every file is of another patient, --one-patient if all are of one"
    )
