"""The images of the first tasks, read from here as the model would read them."""

from __future__ import annotations

from collections.abc import Iterator

from cli.doctor.diagnosis import Diagnosis, broken, skipped, well
from cli.doctor.inspection import Inspection
from mammo.errors import MammoError
from mammo.images.task_images import MAMMOGRAM_KEY, of_task

LOOKED_AT = 3


def check_images(inspection: Inspection) -> Iterator[Diagnosis]:
    """The mammogram of a task, and where that is a file of ours, the picture that people see as well."""
    assert inspection.client is not None
    assert inspection.project is not None
    site, max_bytes = inspection.site, inspection.settings.max_image_bytes
    tasks = inspection.client.first_tasks(inspection.project, LOOKED_AT)
    if not tasks:
        yield skipped("images", "the project has no tasks yet")
        return
    try:
        tags = site.tags(inspection.project)
    except MammoError as error:
        yield skipped("images", f"which images the project shows is not known ({error.code})")
        return
    for number, data, on_image in (
        (int(task["id"]), task["data"], each) for task in tasks for each in tags.on(task["data"])
    ):
        try:
            described = of_task(number, data, tags=on_image)
            site.images.open(described)
        except MammoError as error:
            yield broken(
                "images",
                f"{on_image.image_tag!r} of task {number} cannot be read here ({error.code})",
                str(error),
            )
            return
        picture = described.get("image")
        if MAMMOGRAM_KEY in described and picture:
            try:
                site.downloads.download(str(picture), max_bytes=max_bytes, task=number)
            except MammoError as error:
                yield broken("images", f"task {number} shows people no image ({error.code})", str(error))
                return
    yield well("images", f"the images of {len(tasks)} tasks can be read here")
