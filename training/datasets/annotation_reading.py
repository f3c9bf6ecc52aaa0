"""Reading an annotation as building a dataset version does, as far as that goes without opening an image."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from mammo.annotations import Correction
from mammo.errors import MammoError
from mammo.identifiers import identifier
from mammo.images.task_images import of_task
from mammo.labelstudio.interpretation import Interpretation, interpret
from mammo.labelstudio.labeling_config import ControlTags
from mammo.stated_facts import stated_spacing
from training.datasets.items import images_of, is_about_one_image


@dataclass(frozen=True, kw_only=True)
class ImageReading:
    """What an annotation says of one of its task's images."""

    tags: ControlTags
    data: Mapping[str, object]
    """The task's data of this image; see `mammo.images.task_images.of_task`."""

    said: Interpretation


def read_annotation(correction: Correction, tags: ControlTags) -> list[ImageReading]:
    """What an annotation says of each of its task's images.

    Args:
        tags: of the project.

    Raises:
        InvalidRegion: a region cannot be read.
        InvalidTaskData: its task states a patient or a spacing that cannot be read.
        ImageNotFound: its task names no image.
    """
    identifier(correction.task_data.get("patient"))
    found = []
    for on_image in images_of(correction, tags):
        said = interpret(correction.result, tags=on_image)
        data = of_task(correction.task_id, correction.task_data, tags=on_image)
        stated_spacing(data.get("spacing_mm"))
        found.append(ImageReading(tags=on_image, data=data, said=said))
    return found


def refused(corrections: Iterable[Correction], tags: ControlTags) -> dict[int, MammoError]:
    """Which annotations cannot be read, by their numbers, and why."""
    found: dict[int, MammoError] = {}
    for correction in corrections:
        try:
            read_annotation(correction, tags)
        except MammoError as error:
            if not is_about_one_image(error):
                raise
            found[correction.annotation_id] = error
    return found
