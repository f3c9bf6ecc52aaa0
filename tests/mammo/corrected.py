"""Prelabels and corrections as Label Studio carries them, in a project with control names and labels of its own."""

import json
from datetime import UTC, datetime, timedelta

from mammo.geometry import Size
from mammo.labelstudio.labeling_config import ControlTags
from mammo.labelstudio.rendering import to_regions

CONFIG = """<View>
  <Image name="picture" value="$image"/>
  <BrushLabels name="paint" toName="picture"><Label value="Mass"/><Label value="Microcalcification"/></BrushLabels>
  <RectangleLabels name="frame" toName="picture"><Label value="Microcalcification"/></RectangleLabels>
  <KeyPointLabels name="dot" toName="picture"><Label value="Microcalcification"/></KeyPointLabels>
  <RectangleLabels name="ask" toName="picture" smart="true" smartOnly="true">
    <Label value="Microcalcification"/>
  </RectangleLabels>
  <Choices name="morphology" toName="picture" perRegion="true"><Choice value="skin"/><Choice value="rim"/></Choices>
  <Choices name="density" toName="picture"><Choice value="a"/><Choice value="b"/></Choices>
</View>"""
"""The labeling config of the project: its own control names and its own label, none of them our defaults."""

TAGS = ControlTags.read(CONFIG)
SPACING = [0.05, 0.1]
"""Pixel spacing of the images, in mm; the pixels are not square."""

SIZE = Size(400, 300)
START = datetime(2026, 11, 23, 8, tzinfo=UTC)  # a Monday
SECRET = b"the tests"


def regions(*findings, version="m1", turned=False):
    """`turned`: the image was rotated on the screen, so its regions cannot be interpreted."""
    rendered = to_regions(findings, size=SIZE, tags=TAGS, model_version=version)
    return [region | {"image_rotation": 90} for region in rendered] if turned else rendered


def show(store, *findings, task=5, version="m1", num_cut=0, shown=True, turned=False, sha256="ab" * 32):
    """Record a prelabel, as `/predict` does, or a silent one."""
    store.record_prelabel(
        project=1,
        task=task,
        model_version=version,
        regions=regions(*findings, version=version, turned=turned),
        score=0.7,
        images={"": sha256},
        sizes={"": SIZE},
        num_cut=num_cut,
        shown=shown,
    )


def correct(
    store,
    *findings,
    annotation=3,
    task=5,
    minutes=0,
    user=7,
    seconds=60.0,
    version="m1",
    names_version=True,
    turned=False,
    result=None,
):
    """Append an annotation, as Label Studio's webhook does.

    Args:
        names_version: it reports the prelabel's version.
        result: its regions, in place of those of the findings.
    """
    moment = START + timedelta(minutes=minutes)
    body = {
        "action": "ANNOTATION_CREATED",
        "project": {"id": 1},
        "task": {"id": task, "data": {"image": f"/data/{task}.png", "spacing_mm": SPACING}},
        "annotation": {
            "id": annotation,
            "task": task,
            "result": result or regions(*findings, version=version, turned=turned),
            "was_cancelled": False,
            "updated_at": moment.isoformat(),
            "completed_by": user,
            "lead_time": seconds,
            "prediction": {"model_version": version} if names_version else {},
        },
    }
    return store.append(json.dumps(body).encode(), action=body["action"], received_at=moment)
