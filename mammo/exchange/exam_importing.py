"""Import of exams: DICOM files are grouped by their headers, and each exam becomes a task that shows its views.

An exam is imported as a whole or not at all: a view whose file is refused must not look like a view that was not taken.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mammo.dicom import patient_key
from mammo.dicom.image_header import ImageHeader, read_header
from mammo.dicom.limits import MAX_BYTES, read_bytes
from mammo.errors import MammoError
from mammo.exchange.exam_tasks import ExamFacts, exam_task_data
from mammo.exchange.exams import Exam, ExamImage, group_exams
from mammo.exchange.importing import (
    NUM_THREADS,
    ImportOptions,
    Outcome,
    below_root,
    describe,
    images_of,
    is_annotation,
    refusal,
    safe_name,
)
from mammo.labelstudio.client import LabelStudioClient

BATCH = 5
"""Exams per request; an interrupted import loses at most the upload of these."""

Progress = Callable[[Iterable[Any], int], Iterable[Any]]


@dataclass(frozen=True)
class _File:
    """A file whose header was read."""

    path: Path
    number: int
    """From 0, in order of name."""

    header: ImageHeader
    task: int | None
    """The task of the project that shows the image; None for a new image."""


def import_exams(
    paths: Sequence[Path],
    *,
    project: int,
    client: LabelStudioClient,
    options: ImportOptions,
    outcome: Outcome,
    show_year: bool = False,
    progress: Progress = lambda finished, total: finished,
) -> None:
    """Import files into a project whose tasks show exams, in the order of patient and date.

    A file whose content is in the project already is skipped, whatever task it is in; no exam comes in without it.

    Args:
        paths: the files; their order determines the numbers in messages, and which of two equal files counts.
        project: project id.
        client: of the Label Studio server.
        options: folders, secret and rules.
        outcome: filled in during the import, so that it is available after an exception.
        show_year: state the year of each exam in its header.
        progress: wraps the files, and then the exams; called with these and their number.

    Raises:
        LabelStudioError: Label Studio refused a request.
    """
    tasks = [{"id": task["id"], "data": task["data"]} for task in client.tasks(project)]
    existing = {exam_identity(task["data"]): int(task["id"]) for task in tasks}
    with _threads() as executor:
        files = _files(executor, paths, options, known=images_of(tasks), outcome=outcome, progress=progress)
        grouping = group_exams(_exam_image(name, file.header) for name, file in files.items())
        outcome.listed += [
            f"{each.image.name}: {each.reason}"
            for each in grouping.listed
            if files[each.image.name].task is None
        ]
        waiting = list[dict[str, Any]]()
        exams: dict[str, Exam] = {}
        for exam in grouping.exams:
            key = exam_key(exam, secret=options.patient_secret)
            members = [files[image.name] for image in exam.images.values()]
            known = [file.task for file in members if file.task is not None]
            task = min(known) if known else existing.get((exam.patient, key))
            if task is None:
                exams[key] = exam
                continue
            reason = f"images of its exam are in task {task} of the project already, and this one is not"
            outcome.listed += [
                f"{image.name}: {reason}" for image in exam.images.values() if files[image.name].task is None
            ]
        shown = {exam_identity(task["data"]): task["data"] for task in tasks}
        earlier = earlier_exams(grouping.exams, secret=options.patient_secret)
        for key, images in progress(_described(executor, exams, files, options, outcome), len(exams)):
            if images is None:
                continue
            headers = {view: files[image.name].header for view, image in exams[key].images.items()}
            facts = exam_facts(exams[key], key, headers.values(), show_year=show_year)
            spacings = {view: header.spacing for view, header in headers.items()}
            # By patient, too: files that were made carelessly share a study between patients.
            prior = shown.get((facts.patient, earlier.get(key, "")))
            data = exam_task_data(images, facts=facts, spacings=spacings, prior=prior)
            shown[exam_identity(data)] = data
            waiting.append(data)
            if len(waiting) >= BATCH:
                outcome.num_new += len(client.import_tasks(project, waiting))
                waiting.clear()
        if waiting:
            outcome.num_new += len(client.import_tasks(project, waiting))


def exam_key(exam: Exam, *, secret: bytes) -> str:
    """Return the key of an exam: that of its study, or, without one, of its patient and date."""
    return exam.study or patient_key(f"exam {exam.patient} {exam.day}", secret)


def earlier_exams(exams: Iterable[Exam], *, secret: bytes) -> dict[str, str]:
    """Return for the key of each exam the key of the patient's exam before it, if both have a date.

    Args:
        exams: in the order of patient and date.
        secret: of the keys.
    """
    earlier: dict[str, str] = {}
    last: dict[str, Exam] = {}
    for exam in (each for each in exams if each.day):
        before = last.get(exam.patient)
        if before is not None and before.day < exam.day:
            earlier[exam_key(exam, secret=secret)] = exam_key(before, secret=secret)
        last[exam.patient] = exam
    return earlier


def exam_identity(data: Mapping[str, Any]) -> tuple[str, str]:
    """Return patient and exam of the data of a task."""
    return str(data.get("patient")), str(data.get("exam"))


def exam_facts(exam: Exam, key: str, headers: Iterable[ImageHeader], *, show_year: bool) -> ExamFacts:
    """Return what the header of an exam's page says; an age band on which the files disagree is left out."""
    bands = {header.age_band for header in headers} - {""}
    return ExamFacts(
        patient=exam.patient,
        exam=key,
        age_band=bands.pop() if len(bands) == 1 else "",
        year=exam.day[:4] if show_year else "",
    )


@contextmanager
def _threads() -> Iterator[ThreadPoolExecutor]:
    """Threads that begin nothing more after an exception."""
    executor = ThreadPoolExecutor(NUM_THREADS)
    try:
        yield executor
    finally:
        executor.shutdown(cancel_futures=True)


def _files(
    executor: ThreadPoolExecutor,
    paths: Sequence[Path],
    options: ImportOptions,
    *,
    known: Mapping[str, int],
    outcome: Outcome,
    progress: Progress,
) -> dict[str, _File]:
    """Return the files by a name for messages that identifies nobody; of equal files the first."""

    def header_of(file: Path) -> ImageHeader:
        return read_header(
            read_bytes(file, max_bytes=MAX_BYTES),
            path=below_root(file, options.root),
            patient_secret=options.patient_secret,
            convert_for_processing=options.rules.convert_for_processing,
        )

    files: dict[str, _File] = {}
    seen = set[str]()
    reading = [executor.submit(header_of, path) for path in paths]
    for number, future in enumerate(progress(reading, len(reading))):
        try:
            header = future.result()
        except (MammoError, ValueError, OSError) as error:
            if is_annotation(paths[number], error):
                outcome.num_annotations += 1
            else:
                outcome.refused.append(refusal(paths[number], number, error))
            continue
        task = known.get(header.sha256)
        outcome.num_known += task is not None or header.sha256 in seen
        if header.sha256 in seen:
            continue
        seen.add(header.sha256)
        is_identified = header.named_in_path or (
            bool(header.identifying) and not options.rules.allow_identified
        )
        name = safe_name(paths[number], number, is_identified=is_identified)
        name = f"{name} (file {number + 1})" if name in files else name
        files[name] = _File(paths[number], number, header, task)
    return files


def _exam_image(name: str, header: ImageHeader) -> ExamImage:
    return ExamImage(
        name=name,
        patient=header.patient,
        study=header.study,
        day=header.day,
        laterality=header.laterality,
        view=header.view,
        modifier=header.modifier,
    )


def _described(
    executor: ThreadPoolExecutor,
    exams: Mapping[str, Exam],
    files: Mapping[str, _File],
    options: ImportOptions,
    outcome: Outcome,
) -> Iterator[tuple[str, dict[Any, dict[str, Any]] | None]]:
    """Yield the key of each exam with the data of its images; None when one of them is refused."""

    def data_of(file: _File) -> dict[str, Any]:
        return describe(read_bytes(file.path, max_bytes=MAX_BYTES), file.path, options)

    running: dict[str, dict[Any, Future[dict[str, Any]]]] = {
        key: {view: executor.submit(data_of, files[image.name]) for view, image in exam.images.items()}
        for key, exam in exams.items()
    }
    for key, futures in running.items():
        images: dict[Any, dict[str, Any]] = {}
        refused = 0
        for view, future in futures.items():
            file = files[exams[key].images[view].name]
            try:
                images[view] = future.result()
            except (MammoError, ValueError, OSError) as error:
                refused += 1
                outcome.refused.append(refusal(file.path, file.number, error))
        if refused:
            reason = "not imported, because another file of its exam was refused"
            outcome.listed += [f"{exams[key].images[view].name}: {reason}" for view in images]
        yield key, None if refused else images
