"""What a search for labels that are probably wrong has compared, in sentences for a person."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def sentences(search: Mapping[str, Any]) -> list[str]:
    """Return how a search was made, what it compared, and which images the serving model has learned from.

    Args:
        search: `DoubtRecords.newest_search`, or the result of the job.
    """
    said = [_method(search), f"{search['compared']} of {search['images']} images were compared."]
    said += [f"Not compared: {count}, {reason}." for reason, count in sorted(search["skipped"].items())]
    if search["learned"]:
        said.append(learned_sentence(search["serving"], len(search["learned"])))
    return said


def learned_sentence(serving: str, tasks: int) -> str:
    """Return what is said of the tasks that the serving model has learned from."""
    return (
        f"{serving}, which serves, has learned from {tasks} of the tasks: what it predicts there only repeats their "
        "labels, so they are compared with models that have not."
    )


def _method(search: Mapping[str, Any]) -> str:
    if not search["folds"]:
        return "Stored predictions of models that did not learn from the patient."
    return (
        f"Out of fold: {search['folds']} folds of patients (seed {search['seed']}); each was predicted by a model that "
        f"was fine-tuned from {search['base']} on the other folds (recipe {search['recipe']})."
    )
