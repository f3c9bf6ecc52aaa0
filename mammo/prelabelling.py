"""Prelabelling: one task becomes one prediction, and a record of what was said of its images."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, Self

from mammo.annotations.prelabels import Prelabel, digest_of_images
from mammo.dicom import Mammogram
from mammo.errors import ImageNotFound
from mammo.findings import Finding
from mammo.images.task_images import of_task
from mammo.labelstudio.labeling_config import ControlTags
from mammo.labelstudio.prediction_check import require_valid
from mammo.labelstudio.predictions import priority
from mammo.labelstudio.rendering import to_regions
from mammo.settings import Settings

Prediction = dict[str, Any]
"""`result`, `score` and `model_version`, as Label Studio takes them."""


class Prelabels(Protocol):
    """`mammo.pipeline.Prelabeller`."""

    @property
    def version(self) -> str: ...

    def prelabel(self, mammogram: Mammogram, *, threshold: float | None) -> list[Finding]: ...


class Records(Protocol):
    """`mammo.annotations.AnnotationStore`."""

    def record_prelabel(
        self,
        *,
        project: int,
        task: int,
        model_version: str,
        regions: Sequence[dict[str, Any]],
        score: float,
        images: Mapping[str, str],
        shown: bool,
    ) -> None: ...

    def prelabel(self, project: int, task: int, model_version: str) -> Prelabel | None: ...


@dataclass(frozen=True, kw_only=True)
class TaskPrelabeller:
    """Prelabels the tasks of one project with one model version."""

    prelabeller: Prelabels
    tags: ControlTags
    """Of the project, in the form in which its masks are drawn: outlines, or brush regions where it asks for those."""

    config: str
    """The project's labeling config, which every prediction is checked against."""

    threshold: float | None
    """Least detector score in this project; None: the model's operating point."""

    open_image: Callable[[Mapping[str, Any]], Mammogram]
    """`mammo.images.task_images.TaskImages.open`."""

    store: Records

    @classmethod
    def of(
        cls,
        prelabeller: Prelabels,
        *,
        project: int | None,
        config: str,
        settings: Settings,
        open_image: Callable[[Mapping[str, Any]], Mammogram],
        store: Records,
    ) -> Self:
        """For one project, as the settings have it.

        Args:
            project: None where Label Studio does not say; then no option of a project applies.

        Raises:
            InvalidRegion: the model can fill none of the config's controls.
        """
        tags = ControlTags.read(config)
        return cls(
            prelabeller=prelabeller,
            tags=tags.painted() if project in settings.brush_project_ids else tags.outlined(),
            config=config,
            threshold=None if project is None else settings.thresholds.get(project),
            open_image=open_image,
            store=store,
        )

    @property
    def version(self) -> str:
        return self.prelabeller.version

    def predict(
        self, task: int | None, data: Mapping[str, Any], *, packed: bool = False
    ) -> tuple[Prediction, dict[str, str]]:
        """Find the clusters of every image of a task.

        Args:
            packed: brush streams as arrays of bytes; see `to_regions`.

        Returns:
            The prediction, and the SHA-256 of each image by its key.

        Raises:
            ImageNotFound, UnreadableImage, ImageUnavailable, LabelStudioError: an image cannot be opened; then there
                is no prediction of the task, since an image without regions says that nothing was found on it.
            InvalidRegion: the prediction does not fit the labeling config.
        """
        regions: list[dict[str, Any]] = []
        found: list[Finding] = []
        images: dict[str, str] = {}
        shown = list(self.tags.on(data)) or [self.tags]
        for on_image in shown:
            mammogram = self.open_image(of_task(task, data, tags=on_image))
            findings = self.prelabeller.prelabel(mammogram, threshold=self.threshold)
            regions += to_regions(
                findings, size=mammogram.size, tags=on_image, model_version=self.version, packed=packed
            )
            found += findings
            images[on_image.image_key] = mammogram.sha256
        made = {"result": regions, "score": priority(found), "model_version": self.version}
        require_valid(made, config=self.config)
        return made, images

    def keep(
        self, task: int, made: Prediction, images: Mapping[str, str], *, project: int, shown: bool
    ) -> None:
        """Keep our own copy of a prediction: one that we do not know could never be evaluated.

        Args:
            shown: annotators are given it.

        Raises:
            StorageUnavailable: it is not kept.
        """
        self.store.record_prelabel(
            project=project,
            task=task,
            model_version=made["model_version"],
            regions=made["result"],
            score=made["score"],
            images=images,
            shown=shown,
        )

    def kept(self, task: int, data: Mapping[str, Any], *, project: int) -> Prelabel | None:
        """What this version said of the task before, if it was of the same images and fits the project's controls.

        Raises:
            StorageUnavailable: the store does not answer.
        """
        known = self.store.prelabel(project, task, self.version)
        if known is None:
            return None
        shown = list(self.tags.on(data)) or [self.tags]
        try:
            stated = {each.image_key: of_task(task, data, tags=each).get("sha256") for each in shown}
        except ImageNotFound:  # predicting it will say so
            return None
        told = {key: sha256 for key, sha256 in stated.items() if isinstance(sha256, str)}
        if len(told) == len(stated) and digest_of_images(told) != known.image_sha256:
            return None
        on_its_image = [
            next((each for each in shown if each.shows(region)), None) for region in known.regions
        ]
        fits = all(
            tags is not None and tags.fit([region])
            for tags, region in zip(on_its_image, known.regions, strict=True)
        )
        return known if fits else None
