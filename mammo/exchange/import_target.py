"""ImportTarget: a project of Label Studio that mammograms are imported into, as exams or as single images."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

from mammo.errors import InvalidSettings
from mammo.exchange.exam_importing import import_exams
from mammo.exchange.exam_tasks import shows_exam
from mammo.exchange.importing import ImportOptions, Outcome, import_files
from mammo.images.task_images import task_showing
from mammo.labelstudio.client import LabelStudioClient
from mammo.labelstudio.labeling_config import ControlTags, labeling_config

Screen = Literal["exam", "image"]
"""What the page of a task shows: the four views of an exam, or one image."""


@dataclass(frozen=True, kw_only=True)
class ImportTarget:
    """A project that takes mammograms."""

    project: int
    client: LabelStudioClient
    tags: ControlTags
    options: ImportOptions
    screen: Screen
    show_year: bool
    """exam: whether the (shifted) year is stated in the header of its page."""

    @classmethod
    def of(
        cls,
        client: LabelStudioClient,
        project: int,
        *,
        options: ImportOptions,
        screen: Screen | None,
        show_year: bool,
    ) -> Self:
        """Return the target that a project's labeling config describes.

        Args:
            screen: what the user expects a task to show; None: whatever the project shows.

        Raises:
            InvalidSettings: the project shows something else, or no image.
            LabelStudioError: Label Studio does not answer or refuses.
        """
        config = client.project(project).get("label_config") or labeling_config()
        tags = ControlTags.read(str(config))
        shown = screen_of(tags, screen)
        if shown == "image":
            task_showing({}, tags=tags)  # refuses an unsuitable project before any file is read
        return cls(
            project=project, client=client, tags=tags, options=options, screen=shown, show_year=show_year
        )

    def import_(
        self,
        files: Sequence[Path],
        outcome: Outcome,
        progress: Callable[[Iterable[Any], int], Iterable[Any]],
    ) -> None:
        """Import files; `outcome` is filled in meanwhile. Raises LabelStudioError: Label Studio refuses.

        Args:
            progress: wraps the finished files; called with these and the number of files.
        """
        if self.screen == "exam":
            import_exams(
                files, project=self.project, client=self.client, options=self.options, outcome=outcome,
                show_year=self.show_year, progress=progress,
            )  # fmt: skip
        else:
            import_files(
                files, project=self.project, client=self.client, tags=self.tags, options=self.options,
                outcome=outcome, progress=progress,
            )  # fmt: skip


def screen_of(tags: ControlTags, screen: Screen | None) -> Screen:
    """Return what a task of the project shows.

    Args:
        tags: control tags of the project.
        screen: what the user expects; None: whatever the project shows.

    Raises:
        InvalidSettings: the project's tasks show something else.
    """
    found: Screen = "exam" if shows_exam(tags) else "image"
    if screen is not None and screen != found:
        raise InvalidSettings(
            f"expected a project for --screen {screen}, but the labeling config of this project is for --screen "
            f"{found}; choose another project or leave --screen out"
        )
    return found
