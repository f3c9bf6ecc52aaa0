"""One image of a data set becomes a Label Studio task with an annotation, once."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mammo.atomic_files import replacing
from mammo.dicom import Intake, encode_png, patient_key
from mammo.exchange.datasets.contents import DatasetImage
from mammo.exchange.importing import TWINS
from mammo.geometry import Spacing
from mammo.images.task_images import task_showing
from mammo.labelstudio import ControlTags, LabelStudioClient
from mammo.labelstudio.regions import Region


class TaskWriter:
    """Writes into one project. An image whose SHA-256 is there already gets no second task or annotation."""

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
            kind: of the data set: two sets may call different people by the same name.
            root: the service's `mammogram_root`; the data set lies below it.
            twins: the folder that Label Studio serves as local files.
            patient_secret: key of the patient keys.
        """
        self._client, self._project = client, project
        self._kind, self._root, self._twins = kind, root.resolve(), twins
        self.patient_secret = patient_secret
        self.tags = ControlTags.read(str(client.project(project)["label_config"]))
        self._known = {
            task["data"]["sha256"]: task
            for task in client.tasks(project, all_fields=True)
            if task.get("data", {}).get("sha256")
        }

    def write(
        self, image: DatasetImage, found: Intake, regions: Sequence[Region], *, spacing: Spacing | None
    ) -> bool:
        """Make the task and its annotation; False when both are there already.

        Args:
            regions: as `rehearsed` made them for this project's tools.

        Raises:
            ValueError: the file does not lie below the root.
            LabelStudioError: Label Studio refused.
        """
        known = self._known.get(found.sha256)
        if known is not None and known.get("annotations"):
            return False
        task = int(known["id"]) if known is not None else self._make(image, found, spacing)
        self._client.annotate(task, list(regions))
        return True

    def _make(self, image: DatasetImage, found: Intake, spacing: Spacing | None) -> int:
        reference = image.file.resolve().relative_to(self._root)
        twin = self._twins / TWINS / f"{found.sha256}.png"
        twin.parent.mkdir(parents=True, exist_ok=True)
        if not twin.exists():
            with replacing(twin, shared=True) as part:
                part.write_bytes(encode_png(found.twin))
        data = {
            "image": f"/data/local-files/?d={TWINS}/{twin.name}",
            "mammogram": reference.as_posix(),
            "sha256": found.sha256,
            "patient": self._patient(image, found),
            "view": image.view or found.view,
            "laterality": image.laterality or found.laterality,
            "spacing_mm": [spacing.row_mm, spacing.column_mm] if spacing else None,
            "dataset": self._kind,
        }
        return self._client.import_tasks(self._project, [task_showing(data, tags=self.tags)])[0]

    def _patient(self, image: DatasetImage, found: Intake) -> str:
        """The key that `yolo-mlsam import` gives the same person, where the file is to be trusted."""
        if image.trusts_file and found.patient:
            return found.patient
        return patient_key(f"{self._kind}/{image.patient}", self.patient_secret)
