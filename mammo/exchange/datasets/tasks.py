"""TaskWriter: an image or exam of a data set becomes a Label Studio task with an annotation, exactly once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mammo.dicom import Intake, patient_key
from mammo.exchange.datasets.contents import DatasetImage
from mammo.exchange.importing import images_of
from mammo.exchange.task_data import task_data, write_twin
from mammo.geometry import Spacing
from mammo.images.task_images import task_showing
from mammo.labelstudio import ControlTags, LabelStudioClient
from mammo.labelstudio.regions import Region


class TaskWriter:
    """Writes tasks and annotations into one project. An image is identified by its SHA-256 and written once."""

    def __init__(
        self,
        client: LabelStudioClient,
        project: int,
        *,
        kind: str,
        root: Path,
        twins: Path,
        patient_secret: bytes,
    ) -> None:
        """
        Args:
            client: of the Label Studio server.
            project: project id.
            kind: of the data set; part of the patient keys, because data sets may use the same identifiers.
            root: the service's `mammogram_root`; the data set lies below it.
            twins: the folder that Label Studio serves as local files.
            patient_secret: secret of the patient keys.
        """
        self._client, self._project = client, project
        self._kind, self._root, self._twins = kind, root.resolve(), twins
        self.patient_secret = patient_secret
        self.tags = ControlTags.read(str(client.project(project)["label_config"]))
        tasks = list(client.tasks(project, all_fields=True))
        by_id = {int(task["id"]): task for task in tasks}
        self._tasks = {sha256: by_id[task] for sha256, task in images_of(tasks).items()}

    def write(
        self, image: DatasetImage, intake: Intake, regions: Sequence[Region], *, spacing: Spacing | None
    ) -> bool:
        """Create the task and its annotation; return False when both exist already.

        Args:
            image: the image.
            intake: its file.
            regions: of the annotation, as `checked_regions` returns them for this project.
            spacing: pixel spacing; None if unknown.

        Raises:
            ValueError: the file is not below the root.
            LabelStudioError: Label Studio refused a request.
        """
        existing = self._tasks.get(intake.sha256)
        if existing is not None and existing.get("annotations"):
            return False
        task = int(existing["id"]) if existing is not None else self._create_task(image, intake, spacing)
        self._client.annotate(task, list(regions))
        return True

    def write_exam(self, data: Mapping[str, Any], result: Sequence[Region], *, hashes: Sequence[str]) -> bool:
        """Create the task of an exam and its annotation; return False when both exist already.

        Args:
            data: of the task.
            result: of the annotation, with the regions of all images.
            hashes: SHA-256 of the images.

        Raises:
            ValueError: some of the images are in another task already.
            LabelStudioError: Label Studio refused a request.
        """
        existing = {int(task["id"]): task for each in hashes if (task := self._tasks.get(each)) is not None}
        if not existing:
            (number,) = self._client.import_tasks(self._project, [dict(data)])
        else:
            number, task = min(existing.items())
            shown = {sha256 for sha256, each in self._tasks.items() if each["id"] == number}
            if len(existing) > 1 or shown != set(hashes):
                raise ValueError(
                    f"task {number} of the project shows some of the images of its exam, not the same ones; delete it, "
                    "if nobody has read it"
                )
            if task.get("annotations"):
                return False
        self._client.annotate(number, list(result))
        return True

    def _create_task(self, image: DatasetImage, intake: Intake, spacing: Spacing | None) -> int:
        data = self.describe(image, intake, spacing)
        return self._client.import_tasks(self._project, [task_showing(data, tags=self.tags)])[0]

    def describe(self, image: DatasetImage, intake: Intake, spacing: Spacing | None) -> dict[str, Any]:
        """Write the twin of an image; return the data of a task that shows it.

        Raises:
            ValueError: the file is not below the root.
        """
        mammogram = image.file.resolve().relative_to(self._root).as_posix()
        data = task_data(
            intake,
            image=write_twin(intake, self._twins, spacing=spacing),
            mammogram=mammogram,
            patient=self.patient(image, intake),
            spacing=spacing,
        )
        return data | {
            "view": image.view or intake.view,
            "laterality": image.laterality or intake.laterality,
            "dataset": self._kind,
        }

    def patient(self, image: DatasetImage, intake: Intake) -> str:
        """Return the key of the file's PatientID, as `yolo-mlsam import` does, or of the data set's patient."""
        if image.trusts_file and intake.patient:
            return intake.patient
        return patient_key(f"{self._kind}/{image.patient}", self.patient_secret)
