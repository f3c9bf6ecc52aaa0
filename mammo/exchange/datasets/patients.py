"""Who a file shows, where only its path can say: a person's views must stay on one side of a split.

There is no default that finds patients in paths: what stands before the first `_` or `/` is a patient in one data set
and the folder `images`, or the hash that Label Studio puts before an uploaded file's name, in the next. So who wants
paths to be read says how; and a pattern that finds the same patient in every path has found something else.
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
NUM_EXAMPLES = 3
SUGGESTION = r"^(?:.*/)?(?:[0-9a-f]{8}-)?([^_/]+)_"
"""What stands before the first `_` of the file's name, whatever folder and upload hash are before it."""


@dataclass(frozen=True)
class PatientRule:
    """How paths name patients, as the user asked for it."""

    pattern: re.Pattern[str] | None
    everyone: str | None = None
    """The name of the one patient of all images."""

    @classmethod
    def of_options(cls, options: DatasetOptions) -> PatientRule:
        """
        Raises:
            InvalidSettings: no regular expression with exactly one group; a pattern and one patient.
        """
        if options.one_patient and options.patient_pattern is not None:
            raise InvalidSettings("give either --patient-pattern or --one-patient, not both")
        pattern = None if options.patient_pattern is None else patient_pattern(options.patient_pattern)
        return cls(pattern, f"everyone in {options.folder.resolve().name}" if options.one_patient else None)

    def of(self, path: str) -> str:
        """The patient that a path names; empty when it names none.

        Raises:
            InvalidTaskData: what the pattern finds is no text.
        """
        if self.everyone is not None:
            return self.everyone
        return patient_of(path, self.pattern) if self.pattern else ""

    def question(self, paths: Sequence[str]) -> str | None:
        """What to ask where paths do not tell patients apart; None where they do, or nobody has to ask.

        Args:
            paths: of the images of which nothing else in the data set says whose they are.
        """
        if self.everyone is not None or not paths:
            return None
        if self.pattern is None:
            return f"nobody says whose the {len(paths)} images are. {_ask(paths)}"
        names = {self.of(path) for path in paths} - {""}
        if len(names) != 1 or len(paths) == 1:
            return None
        only = printable(next(iter(names)), length=40)
        return f"--patient-pattern finds one patient, {only!r}, in {len(paths)} paths. {_ask(paths)}"


def settled(
    items: Sequence[DatasetImage | Refusal], rule: PatientRule
) -> tuple[list[DatasetImage | Refusal], str | None]:
    """The items with what their paths may say about patients, and what to ask, once all paths are known.

    An image that is alone is not asked about where `SUGGESTION` fits it: there is nobody to tell it from.
    """
    asked = [item for item in items if isinstance(item, DatasetImage) and item.path is not None]
    paths = [item.path for item in asked if item.path is not None]
    question = rule.question(paths)
    alone = len(asked) == 1 and rule.pattern is None and rule.everyone is None
    if question is None and not alone:
        return list(items), None
    name = patient_of(paths[0], re.compile(SUGGESTION)) if alone else ""
    changed = {id(item): replace(item, patient=name) for item in asked}
    return [changed.get(id(item), item) for item in items], question


def patient_pattern(pattern: str) -> re.Pattern[str]:
    """The compiled pattern.

    Raises:
        InvalidSettings: no regular expression with exactly one group.
    """
    try:
        compiled = re.compile(pattern)
    except re.error:
        raise InvalidSettings("--patient-pattern is no regular expression") from None
    if compiled.groups != 1:
        raise InvalidSettings("--patient-pattern needs exactly one group, the patient")
    return compiled


def patient_of(path: str, pattern: re.Pattern[str]) -> str:
    """The patient that a path names; empty when it names none."""
    match = pattern.search(path[:MAX_PATH])
    return identifier(match[1]) or "" if match else ""


def _ask(paths: Sequence[str]) -> str:
    some = sorted(set(paths))[:NUM_EXAMPLES]
    guess = re.compile(SUGGESTION)
    told = ", ".join(
        f"{printable(path, length=60)} ({printable(patient_of(path, guess) or 'nobody', length=30)})"
        for path in some
    )
    return (
        f"Give --patient-pattern, a regular expression whose group is the patient. '{SUGGESTION}' would find: {told}. "
        "'(.+)' says that every file is another patient, --one-patient that all are of one"
    )
