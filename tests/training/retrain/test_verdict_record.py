"""A retrain keeps why its challenger won or lost."""

import cv2
import numpy as np
import pytest

from mammo.errors import UnknownRun
from mammo.runs import Runs
from mammo.verdicts.archive import VerdictArchive, verdict_blobs
from mammo.verdicts.places import places
from tests.training.retrain.test_retrain import annotate, ledger_of, run


def test_the_verdict_of_a_run_is_kept_with_pictures(world):
    annotate(world)
    run(world)
    runs = Runs(world.context.engine)
    archive = VerdictArchive(runs, world.context.blobs)
    record = archive.read(runs.get("run-1"))
    assert record.promote
    assert record.champion.version == "starter-1"
    found = places(record)
    assert [each.kind for each in found] == ["alarm_gone"] * 3 + ["won"] * 3
    assert {each.image.task for each in found} <= set(range(1, 13))
    assert found[-1].challenger.dice == 1.0
    assert record.left_out is None
    crop = record.crops[found[-1].key]
    picture = cv2.imdecode(np.frombuffer(archive.picture(crop), np.uint8), cv2.IMREAD_GRAYSCALE)
    assert picture.shape == (crop.height, crop.width) == (48, 64)
    kept = set(record.pictures) | {runs.results("run-1")["outcome"]["pictures"]["record"]}
    assert verdict_blobs(world.context.engine) == kept
    assert kept <= {blob.digest for blob in world.context.blobs.all()}


def test_images_that_cannot_be_read_again_leave_a_verdict_without_pictures(world):
    annotate(world)

    def report(step, fraction, message):
        if step == "pictures":
            world.project.images.clear()

    assert run(world, report=report)["promoted"]
    runs = Runs(world.context.engine)
    record = VerdictArchive(runs, world.context.blobs).read(runs.get("run-1"))
    assert not record.crops
    assert record.left_out.places == 6
    assert "3 images could not be read again" in record.left_out.reason


def test_a_run_without_a_record_says_why(world):
    ledger_of(world, "run-1")
    runs = Runs(world.context.engine)
    with pytest.raises(UnknownRun, match=r"run-1 .* has no verdict with pictures"):
        VerdictArchive(runs, world.context.blobs).read(runs.get("run-1"))
