import orjson
import pytest

from mammo.blobs import Blobs
from mammo.errors import InvalidWeights
from mammo.models.learned_from import learned_from


@pytest.fixture
def blobs(tmp_path):
    return Blobs(tmp_path / "blobs")


def item(patient, fold, *, annotator="annotator-a", view="LCC", findings=1):
    return {
        "patient": patient, "fold": fold, "annotator": annotator, "view": view, "findings": [{}] * findings
    }  # fmt: skip


def stored(blobs, *items, **more):
    return blobs.put(orjson.dumps({"project": 3, "items": items, "excluded": [{}], **more}))


def test_only_training_patients_teach(blobs):
    name = stored(
        blobs,
        item("p", "train"),
        item("p", "train", annotator="annotator-b", view=None, findings=0),
        item("q", "train"),
        item("r", "test", annotator="annotator-c"),
    )
    numbers = learned_from(name, blobs=blobs)
    train, test = numbers.fold("train"), numbers.fold("test")
    assert (train.patients, train.images, train.findings) == (2, 3, 2)
    assert (test.patients, test.images, test.findings) == (1, 1, 1)
    assert numbers.readers == (("annotator-a", 2), ("annotator-b", 1))
    assert dict(numbers.views) == {"LCC": 2, "unknown": 1}
    assert (numbers.project, numbers.excluded) == (3, 1)


def test_a_manifest_that_is_not_understood_is_refused(blobs):
    with pytest.raises(InvalidWeights, match="build a new one"):
        learned_from(blobs.put(orjson.dumps({"items": [{"fold": "train"}]})), blobs=blobs)
