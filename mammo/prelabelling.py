"""TaskPrelabeller: one prediction per task, and the stored record of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol, Self

import structlog

from mammo.annotations import AnnotationStore
from mammo.annotations.prelabels import Prelabel, digest_of_images
from mammo.dicom import Mammogram
from mammo.errors import ImageNotFound
from mammo.findings import ImageFindings
from mammo.geometry import Size
from mammo.images.task_images import of_task
from mammo.labelstudio.descriptors import offered_words
from mammo.labelstudio.labeling_config import ControlTags
from mammo.labelstudio.prediction_check import require_valid
from mammo.labelstudio.predictions import certainty, suspicion
from mammo.labelstudio.relations import names_same_lesion
from mammo.labelstudio.rendering import notes_of_images, share_ids, to_regions
from mammo.labelstudio.shown_version import VERSION_CONTROL, version_results
from mammo.settings import Settings
from mammo.two_views import BreastViews

if TYPE_CHECKING:
    from mammo.words.head import WordHead

Prediction = dict[str, Any]
"""`result`, `score` and `model_version`, in Label Studio's format."""

log = structlog.get_logger()


class ImagePrelabeller(Protocol):
    """Predicts the findings of one mammogram, as `mammo.pipeline.Prelabeller` does (a module of the same layer)."""

    @property
    def version(self) -> str: ...

    def prelabel(self, mammogram: Mammogram, *, threshold: float | None) -> ImageFindings: ...


@dataclass(frozen=True, kw_only=True)
class TaskPrelabel:
    """A prediction that was made for a task, before it is stored."""

    prediction: Prediction
    certainty: float
    """See `mammo.labelstudio.predictions`; in [0, 1]."""

    images: Mapping[str, str]
    """SHA-256 of each image by its `image_key`."""

    sizes: Mapping[str, Size]
    """Size of each image by its `image_key`."""

    num_cut: int
    """Number of findings on all images that are not in the prediction; see `ImageFindings`."""


@dataclass(frozen=True, kw_only=True)
class TaskPrelabeller:
    """Predicts the tasks of one project with one model version."""

    prelabeller: ImagePrelabeller
    tags: ControlTags
    """Control tags of the project, with masks as outlines, or as brush regions if the project asks for those."""

    config: str
    """Labeling config of the project, against which every prediction is validated."""

    threshold: float | None
    """Least detector score in this project, in [0, 1]; None for the model's operating point."""

    open_image: Callable[[Mapping[str, Any]], Mammogram]
    """Reads the image of what `of_task` returns; `mammo.images.task_images.TaskImages.open`."""

    store: AnnotationStore
    """Stores the predictions."""

    news: tuple[str, ...] = ()
    """Sentences for the note of every image; `mammo.notifications`."""

    words: WordHead | None = None
    """Proposes words of BI-RADS for the findings; None: none are proposed."""

    @classmethod
    def of(
        cls,
        prelabeller: ImagePrelabeller,
        *,
        project: int | None,
        config: str,
        settings: Settings,
        open_image: Callable[[Mapping[str, Any]], Mammogram],
        store: AnnotationStore,
        news: Sequence[str] = (),
        words: WordHead | None = None,
    ) -> Self:
        """Return the prelabeller of one project, configured by the settings.

        Args:
            project: None if Label Studio does not name it; then no option of a project applies.
            news: sentences for the note of every image.
            words: proposes words for the findings; None: none are proposed.

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
            news=tuple(news),
            words=words,
        )

    @property
    def version(self) -> str:
        """The model version."""
        return self.prelabeller.version

    def images_of(self, task: int | None, data: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Return the data of every image of a task, as `of_task` does; raises ImageNotFound: one is missing."""
        return [of_task(task, data, tags=image_tags) for image_tags in self._images(data)]

    def predict(self, task: int | None, data: Mapping[str, Any], *, packed: bool = False) -> TaskPrelabel:
        """Predict the findings on every image of a task. Cut findings are logged, and noted in the prediction.

        Args:
            task: task id; None for a task without one.
            data: task data.
            packed: return each brush RLE as a uint8 array; see `to_regions`.

        Raises:
            ImageNotFound, UnreadableImage, ImageUnavailable, LabelStudioError: an image cannot be read. The task has
                no prediction then, because an image without regions means that nothing was found on it.
            InvalidRegion: the prediction is invalid for the labeling config.
        """
        regions: list[dict[str, Any]] = []
        found: list[tuple[ControlTags, ImageFindings]] = []
        images: dict[str, str] = {}
        sizes: dict[str, Size] = {}
        views = BreastViews()
        for image_tags, described in zip(self._images(data), self.images_of(task, data), strict=True):
            mammogram = self.open_image(described)
            on_image = self.prelabeller.prelabel(mammogram, threshold=self.threshold)
            if self.words is not None:
                offered = offered_words(self.config, image_tags)
                proposed = self.words.propose(mammogram, on_image.findings, offered=offered)
                on_image = replace(on_image, findings=proposed)
            views.add(on_image, described, mammogram, tags=image_tags)
            regions += to_regions(
                on_image.findings,
                size=mammogram.size,
                tags=image_tags,
                model_version=self.version,
                packed=packed,
            )
            found.append((image_tags, on_image))
            images[image_tags.image_key] = mammogram.sha256
            sizes[image_tags.image_key] = mammogram.size
        findings = [finding for _, on_image in found for finding in on_image.findings]
        num_cut = sum(on_image.num_cut for _, on_image in found)
        if num_cut:
            log.warning("a prelabel does not show all findings", task=task, shown=len(findings), cut=num_cut)
        regions += notes_of_images(found, model_version=self.version, news=self.news)
        if names_same_lesion(self.config):
            regions += views.relations()
        regions += version_results(self.config, version=self.version)
        prediction = {"result": regions, "score": suspicion(regions), "model_version": self.version}
        require_valid(prediction, config=self.config)
        return TaskPrelabel(
            prediction=prediction,
            certainty=certainty(findings),
            images=images,
            sizes=sizes,
            num_cut=num_cut,
        )

    def record(self, task: int, prelabel: TaskPrelabel, *, project: int, shown: bool) -> None:
        """Store a prediction, so that it can be evaluated later.

        Args:
            task: task id.
            prelabel: as `predict` returns it.
            project: project id.
            shown: whether annotators see it.

        Raises:
            StorageUnavailable: it cannot be stored.
        """
        self.store.record_prelabel(
            project=project,
            task=task,
            model_version=prelabel.prediction["model_version"],
            regions=prelabel.prediction["result"],
            score=prelabel.certainty,
            images=prelabel.images,
            sizes=prelabel.sizes,
            num_cut=prelabel.num_cut,
            shown=shown,
        )

    def recorded(self, task: int, data: Mapping[str, Any], *, project: int) -> Prelabel | None:
        """Return this version's stored prelabel of a task, if it is of the same images and fits the project's controls.

        Raises:
            StorageUnavailable: the store does not answer.
        """
        prelabel = self.store.prelabel(project, task, self.version)
        if prelabel is None or share_ids(prelabel.regions):
            return None
        images = self._images(data)
        try:
            stated = {each.image_key: of_task(task, data, tags=each).get("sha256") for each in images}
        except ImageNotFound:
            return None  # `predict` will raise it.
        digests = {key: sha256 for key, sha256 in stated.items() if isinstance(sha256, str)}
        if len(digests) == len(stated) and digest_of_images(digests) != prelabel.image_sha256:
            return None
        for region in prelabel.regions:
            if region.get("type") == "relation" or region.get("from_name") == VERSION_CONTROL:
                continue
            tags = next((each for each in images if each.shows(region)), None)
            if tags is None or not tags.fit([region]):
                return None
        return prelabel

    def _images(self, data: Mapping[str, Any]) -> list[ControlTags]:
        """Return the control tags of every image that a task shows."""
        return list(self.tags.on(data)) or [self.tags]
