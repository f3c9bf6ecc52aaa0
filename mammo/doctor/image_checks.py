"""The images of the first tasks, opened as the model would open them."""

from __future__ import annotations

from collections.abc import Iterator

from mammo.doctor.diagnosis import Diagnosis, broken, skipped, well
from mammo.doctor.inspection import Inspection
from mammo.errors import MammoError
from mammo.exchange.task_data import TWINS
from mammo.images.task_images import MAMMOGRAM_KEY, of_task
from mammo.labelstudio.local_files import TEST_IMAGE, serving_problem

MAX_TASKS = 3


def check_images(inspection: Inspection) -> Iterator[Diagnosis]:
    """Open the images of some tasks; where the mammogram is a local file, also download the image shown to readers."""
    assert inspection.client is not None
    assert inspection.project is not None
    site, max_bytes = inspection.site, inspection.settings.max_image_bytes
    tasks = inspection.client.first_tasks(inspection.project, MAX_TASKS)
    if not tasks:
        yield skipped("images", "the project has no tasks yet")
        return
    try:
        tags = site.tags(inspection.project)
    except MammoError as error:
        yield skipped(
            "images", f"the labeling config does not say which images the project shows ({error.code})"
        )
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
                yield broken(
                    "images", f"the image shown in task {number} cannot be loaded ({error.code})", str(error)
                )
                return
    yield well("images", f"the images of {len(tasks)} tasks can be read here")


def check_local_files(inspection: Inspection) -> Iterator[Diagnosis]:
    """Fetch a picture of the twins' folder from Label Studio, as a browser does."""
    assert inspection.client is not None
    root = inspection.settings.twin_root
    if root is None:
        return
    file = root / TWINS / TEST_IMAGE
    if not file.is_file():
        yield skipped("local-files", f"{file} does not exist; `yolo-mlsam project create` writes it")
        return
    problem = serving_problem(
        inspection.client, f"{TWINS}/{TEST_IMAGE}", content=file.read_bytes(), root=root
    )
    if problem:
        says, _, remedy = problem.partition(": ")
        yield broken("local-files", says, remedy)
    else:
        yield well("local-files", f"browsers get the images of {root / TWINS} from Label Studio")
