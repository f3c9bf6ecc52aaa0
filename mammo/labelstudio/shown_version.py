"""The model version in the header of an exam: a text of the prediction, so that it is of the outlines that are shown.

The header of a task is written when it is imported, and the model may change afterwards. A prediction brings its own
text into the TextArea `model-version`, and a task that is read without one states none.
"""

from __future__ import annotations

import re
from typing import Any

from mammo.labelstudio.config_xml import parse_config, targets

VERSION_CONTROL = "model-version"
"""Name of the TextArea in which a prediction says which model version made it."""

_DIGEST = re.compile(r"([mp]\d{4,}|starter)-[0-9a-f]{8}")
"""Name of a version that the registry numbered, or of the packaged one."""


def short_version(version: str) -> str:
    """Return a model version without its digest, `m0002` for `m0002-3fa9c2d1`; any other name as it is."""
    digested = _DIGEST.fullmatch(version)
    return digested[1] if digested else version


def version_results(config: str, *, version: str) -> list[dict[str, Any]]:
    """Return the result that states the version of a prediction; empty without a control for it.

    Args:
        config: labeling config of the project.
        version: of the model.

    Raises:
        InvalidRegion: the config is not XML.
    """
    for tag in parse_config(config).iter():
        if tag.get("name") == VERSION_CONTROL and tag.tag.lower() == "textarea" and targets(tag):
            text = f"Outlined by model {short_version(version)}"
            return [
                {
                    "id": VERSION_CONTROL,
                    "from_name": VERSION_CONTROL,
                    "to_name": targets(tag)[0],
                    "type": "textarea",
                    "value": {"text": [text]},
                    "meta": {"model_version": version},
                }
            ]
    return []
