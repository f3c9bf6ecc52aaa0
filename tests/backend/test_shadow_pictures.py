"""What is kept of comparisons is bounded, whoever asks for whatever."""

from __future__ import annotations

from functools import partial
from types import SimpleNamespace
from typing import Any, cast

from backend.shadow_pictures import MAX_COMPARISONS, ShadowPictures
from mammo.errors import LabelStudioError
from tests.waiting import until


def test_comparisons_that_fail_are_forgotten_like_others() -> None:
    def tags(project: int) -> None:
        raise LabelStudioError("gone")

    site = SimpleNamespace(tags=tags, store=None)
    pictures = ShadowPictures(cast(Any, SimpleNamespace(site=site, images=None)))
    for project in range(MAX_COMPARISONS + 3):
        until(partial(is_told, pictures, project))
    assert len(pictures._drawn._figures) == MAX_COMPARISONS
    pictures.close()


def is_told(pictures: ShadowPictures, project: int) -> bool:
    """Whether the figure of a project says why there is none."""
    return pictures.get(project, ("m1", "m2"), (1,)).problem == "gone"
