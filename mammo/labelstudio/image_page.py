"""What annotators see of a project of single images besides the config: its first tab."""

from __future__ import annotations

from typing import Any

from mammo.labelstudio.exam_page import NOT_ABOUT_IMAGES

TAB_TITLE = "Images"

_HIDDEN_KEYS = ("patient", "mammogram", "sha256", "spacing_mm", "converted")
"""Keys of a task that are for the service."""


def image_tab() -> dict[str, Any]:
    """Return the tab of the data manager: picture, pseudonym, laterality and view, score, version.

    Images are in the order of their patients, because Label Studio orders a tab by one column only.
    """
    hidden = [*NOT_ABOUT_IMAGES, *(f"tasks:data.{key}" for key in _HIDDEN_KEYS)]
    return {
        "title": TAB_TITLE,
        "type": "list",
        "target": "tasks",
        "hiddenColumns": {"explore": hidden, "labeling": hidden},
        "ordering": ["tasks:data.patient"],
    }
