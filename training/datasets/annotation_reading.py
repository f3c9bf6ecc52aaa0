"""Reading an annotation as a dataset version does, without opening images."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from mammo.annotations import Correction
from mammo.errors import MammoError
from mammo.identifiers import identifier
from mammo.images.task_images import of_task
from mammo.labelstudio.interpretation import Interpretation, interpret_images
from mammo.labelstudio.labeling_config import ControlTags
from mammo.stated_facts import stated_spacing
from training.datasets.items import is_about_one_image


@dataclass(frozen=True, kw_only=True)
class ImageReading:
    """The part of an annotation that concerns one of its task's images."""

    tags: ControlTags
    """Of the image."""

    data: Mapping[str, object]
    """The task's data of the image; see `mammo.images.task_images.of_task`."""

    interpretation: Interpretation


def read_annotation(correction: Correction, tags: ControlTags) -> list[ImageReading]:
    """Interpret an annotation, image by image.

    Args:
        tags: of the project.

    Raises:
        InvalidRegion: a region cannot be interpreted.
        InvalidTaskData: its task states a patient or a spacing that cannot be interpreted.
        ImageNotFound: its task names no image.
    """
    identifier(correction.task_data.get("patient"))
    readings = []
    for on_image, interpretation in interpret_images(
        correction.result, tags=tags, data=correction.task_data, sizes=correction.sizes
    ):
        data = of_task(correction.task_id, correction.task_data, tags=on_image)
        stated_spacing(data.get("spacing_mm"))
        readings.append(ImageReading(tags=on_image, data=data, interpretation=interpretation))
    return readings


def reading_errors(corrections: Iterable[Correction], tags: ControlTags) -> dict[int, MammoError]:
    """The annotations that cannot be read, by id, with the reason."""
    errors: dict[int, MammoError] = {}
    for correction in corrections:
        try:
            read_annotation(correction, tags)
        except MammoError as error:
            if not is_about_one_image(error):
                raise
            errors[correction.annotation_id] = error
    return errors
