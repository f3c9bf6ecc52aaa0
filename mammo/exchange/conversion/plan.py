"""Plan of a conversion: which one-image tasks become which exam, with which annotations, and why others cannot."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from mammo.dicom.image_header import ImageHeader
from mammo.errors import InvalidRegion, InvalidTaskData, MammoError
from mammo.exam_views import OF_THE_PAGE, PSEUDONYM, ExamView
from mammo.exchange.conversion.merging import merged_annotations, merged_predictions
from mammo.exchange.conversion.translation import Translation
from mammo.exchange.exam_importing import earlier_exams, exam_facts, exam_identity, exam_key
from mammo.exchange.exam_tasks import exam_task_data
from mammo.exchange.exams import Exam, ExamImage, group_exams
from mammo.geometry import Spacing
from mammo.identifiers import identifier
from mammo.images.task_images import IMAGE_FACTS, TASK_FACTS, of_task
from mammo.stated_facts import stated_laterality, stated_spacing, stated_view

HeaderOf = Callable[[Mapping[str, Any]], ImageHeader | None]
"""Returns the header of an image, by its data as `of_task` returns them; None if its file is not on this machine."""

PROJECT_FACTS = ("dataset",)
"""Keys of task data that say where an image came from, and are kept where all images of an exam agree."""


@dataclass(frozen=True, kw_only=True)
class NewTask:
    """A task of the new project."""

    data: dict[str, Any]
    annotations: tuple[dict[str, Any], ...]
    predictions: tuple[dict[str, Any], ...]
    tasks: tuple[int, ...]
    """The tasks of the old project that it replaces, in the order of the views."""


@dataclass(kw_only=True)
class ConversionPlan:
    """What a conversion would do."""

    new: list[NewTask] = field(default_factory=list)
    """In the order of patient and date."""

    num_converted: int = 0
    """Exams that the new project has already."""

    not_moved: list[str] = field(default_factory=list)
    """One message per task that stays behind, or per exam whose annotations cannot be moved."""

    num_several_authors: int = 0
    """Annotations of exams whose images were annotated by different people."""

    num_predictions_left: int = 0
    """Predictions of images that are not moved, because the model predicts their exam again."""

    num_drafts_left: int = 0
    """Drafts, which are not moved."""

    lost_keys: set[str] = field(default_factory=set)
    """Keys of task data that the new tasks lack."""


@dataclass(frozen=True)
class _Image:
    """A task of the old project."""

    task: Mapping[str, Any]
    data: dict[str, Any]
    """As `of_task` returns them."""

    header: ImageHeader | None


def plan_conversion(
    tasks: Iterable[Mapping[str, Any]],
    *,
    translation: Translation,
    header_of: HeaderOf,
    converted: Mapping[tuple[str, str], Mapping[str, Any]],
    patient_secret: bytes,
    one_exam_per_patient: bool = False,
    show_year: bool = False,
) -> ConversionPlan:
    """Plan a conversion. Nothing is changed.

    Args:
        tasks: of the old project, with annotations and predictions.
        translation: from the old project's labeling config to the new one's.
        header_of: see `HeaderOf`.
        converted: data of the tasks that the new project has, by patient and exam.
        patient_secret: secret of the keys of exams.
        one_exam_per_patient: all images of a patient are of one exam, whatever their files say.
        show_year: state the year of each exam in its header.
    """
    plan = ConversionPlan()
    images: dict[str, _Image] = {}
    grouped: list[ExamImage] = []
    unreadable: dict[str, str] = {}
    for task in tasks:
        name = f"task {task['id']}"
        try:
            data = of_task(int(task["id"]), task["data"], tags=translation.old)
            image = _Image(task, data, header_of(data))
            grouped.append(_exam_image(name, image, one_exam_per_patient=one_exam_per_patient))
        except MammoError as error:
            unreadable[name] = str(error)
            grouped.append(ExamImage(name=name, patient=_patient(task["data"]), study=None))
            continue
        images[name] = image
    grouping = group_exams(grouped)
    plan.not_moved += [
        f"{each.image.name}: {unreadable.get(each.image.name, each.reason)}" for each in grouping.listed
    ]
    earlier = earlier_exams(grouping.exams, secret=patient_secret)
    shown = dict(converted)
    for exam in grouping.exams:
        key = exam_key(exam, secret=patient_secret)
        if (exam.patient, key) in converted:
            plan.num_converted += 1
            continue
        members = {view: images[each.name] for view, each in exam.images.items()}
        prior = shown.get((exam.patient, earlier.get(key, "")))
        try:
            data = _data(exam, key, members, prior=prior, show_year=show_year)
            shown[exam_identity(data)] = data  # its pictures exist, whether its annotations move or not
            _add(plan, data, members, translation=translation)
        except (InvalidRegion, InvalidTaskData) as error:
            numbers = ", ".join(str(each.task["id"]) for each in members.values())
            plan.not_moved.append(f"the exam of the tasks {numbers}: {error}")
    return plan


def _patient(data: Mapping[str, Any]) -> str | None:
    try:
        return identifier(data.get("patient"))
    except InvalidTaskData:
        return None


def _exam_image(name: str, image: _Image, *, one_exam_per_patient: bool) -> ExamImage:
    """Return what is known about a task's image; the task states more than its file where they differ."""
    data, header = image.data, image.header
    patient = identifier(data.get("patient")) or (header.patient if header else None)
    study = identifier(data.get("exam")) or (header.study if header else None)
    return ExamImage(
        name=name,
        patient=patient,
        study=f"patient {patient}" if one_exam_per_patient and patient else study,
        day=header.day if header and not one_exam_per_patient else "",
        laterality=stated_laterality(data.get("laterality")) or (header.laterality if header else None),
        view=stated_view(data.get("view")) or (header.view if header else None),
        modifier=header.modifier if header else "",
    )


def _data(
    exam: Exam,
    key: str,
    members: Mapping[ExamView, _Image],
    *,
    prior: Mapping[str, Any] | None,
    show_year: bool,
) -> dict[str, Any]:
    """Return the data of an exam's task; `prior` are those of the patient's exam before it."""
    headers = [image.header for image in members.values() if image.header]
    data = exam_task_data(
        {view: image.data | {"image": image.data.get("image", "")} for view, image in members.items()},
        facts=exam_facts(exam, key, headers, show_year=show_year),
        spacings={view: _spacing(image) for view, image in members.items()},
        prior=prior,
    )
    for fact in PROJECT_FACTS:
        values = [image.task["data"].get(fact) for image in members.values()]
        if values[0] is not None and all(value == values[0] for value in values):
            data[fact] = values[0]
    return data


def _add(
    plan: ConversionPlan,
    data: dict[str, Any],
    members: Mapping[ExamView, _Image],
    *,
    translation: Translation,
) -> None:
    """Add the task of an exam with its annotations and predictions."""
    tasks = {view: image.task for view, image in members.items()}
    merged = merged_annotations(tasks, translation)
    predictions = merged_predictions(tasks, translation)
    others = set(OF_THE_PAGE) - {PSEUDONYM}
    known = {translation.old.value, "image", *IMAGE_FACTS, *TASK_FACTS, *data} - others
    plan.lost_keys |= {each for task in tasks.values() for each in task["data"]} - known
    plan.num_several_authors += merged.num_several_authors
    plan.num_predictions_left += sum(len(task.get("predictions") or ()) for task in tasks.values())
    plan.num_predictions_left -= len(predictions) * len(tasks)
    plan.num_drafts_left += sum(len(task.get("drafts") or ()) for task in tasks.values())
    plan.new.append(
        NewTask(
            data=data,
            annotations=merged.annotations,
            predictions=tuple(predictions),
            tasks=tuple(int(task["id"]) for task in tasks.values()),
        )
    )


def _spacing(image: _Image) -> Spacing | None:
    """Return the spacing that the task states, with the file's source if the file states the same."""
    stated = stated_spacing(image.data.get("spacing_mm"))
    read = image.header.spacing if image.header else None
    if stated is None or read is None:
        return stated
    same = (stated.row_mm, stated.column_mm) == (read.row_mm, read.column_mm)
    return read if same else stated
