"""A hand-written Label Studio project: images that exist only here, annotated through the real store."""

import hashlib
import json
from datetime import UTC, datetime

import numpy as np

from mammo.dicom import Mammogram
from mammo.errors import ImageNotFound
from mammo.geometry import Size
from mammo.labelstudio.labeling_config import ControlTags
from mammo.labelstudio.rendering import truth_regions

SIZE = Size(64, 48)
NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


def sha(number):
    return hashlib.sha256(str(number).encode()).hexdigest()


def mammogram(number, *, patient=None, size=SIZE):
    return Mammogram(
        pixels=np.full((size.height, size.width), number / 1000, np.float32),
        spacing=None,
        laterality="L",
        view="CC",
        patient=patient,
        sha256=sha(number),
        depth=12,
    )


class Project:
    """Tasks and annotations of a project; `open_image` stands for `TaskImages.open`."""

    def __init__(self, store, *, number=1):
        self.store = store
        self.number = number
        self.images = {}
        self.opened = []
        self._seconds = 0

    def task(self, number, *, patient, **data):
        self.images[f"{number}.dcm"] = mammogram(number)
        return {"mammogram": f"{number}.dcm", "sha256": sha(number), "patient": patient, "secret": "x"} | data

    def annotate(self, number, findings, *, patient, annotation=None, result=None, user=None, **data):
        """An annotation of task `number` arrives by webhook."""
        self._seconds += 1
        data = self.task(number, patient=patient, **data)
        if result is None:
            result = truth_regions(findings, size=SIZE, tags=ControlTags(), source="m1")
        body = {
            "annotation": {
                "id": annotation or number,
                "task": number,
                "result": result,
                "was_cancelled": False,
                "completed_by": user,
                "updated_at": f"2026-11-23T05:{self._seconds // 60:02d}:{self._seconds % 60:02d}.000000Z",
            },
            "task": {"id": number, "data": data},
            "project": {"id": self.number},
        }
        self.store.append(json.dumps(body).encode(), action="ANNOTATION_CREATED", received_at=NOW)

    def open_image(self, data):
        self.opened.append(data)
        if data["mammogram"] not in self.images:
            raise ImageNotFound("the task's 'mammogram' is not there")
        return self.images[data["mammogram"]]
