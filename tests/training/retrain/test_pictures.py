import cv2
import numpy as np
import pytest

from mammo.blobs import Blobs
from mammo.dicom import Mammogram
from mammo.geometry import Spacing
from mammo.verdicts.places import places
from tests.mammo.verdicts.records import found, image, lesion, record
from training.cases import Case, silent
from training.retrain import pictures
from training.retrain.pictures import draw

WIDTH, HEIGHT = 900, 1200


def case(name, *, bright=None):
    pixels = np.full((HEIGHT, WIDTH), 0.2, np.float32)
    if bright:
        pixels[bright[1] : bright[1] + 40, bright[0] : bright[0] + 40] = 0.9
    mammogram = Mammogram(
        pixels=pixels,
        spacing=Spacing(0.1, 0.1, "imager"),
        laterality="L",
        view="CC",
        patient="p",
        sha256=name,
        depth=12,
    )
    return Case(image=name, patient="p", read=lambda: mammogram, truth=())


def named(name, **fields):
    return image(sha256=name, size=(WIDTH, HEIGHT), **fields)


@pytest.fixture
def blobs(tmp_path):
    return Blobs(tmp_path / "blobs")


def decoded(blobs, picture):
    return cv2.imdecode(np.frombuffer(blobs.read(picture.sha256), np.uint8), cv2.IMREAD_GRAYSCALE)


def test_a_crop_shows_the_place_at_its_frame(blobs):
    one = named("a" * 64, lesions=(lesion(600, 700),), champion=(found(600, 700, lesion=0),))
    made = draw(record(one), [case("a" * 64, bright=(600, 700))], blobs=blobs, progress=silent)
    crop = made.crops["0.lesion.0"]
    x0, y0, x1, y1 = crop.frame
    assert (x1 - x0, y1 - y0) == (250, 250)  # 25 mm
    picture = decoded(blobs, crop)
    assert picture.shape == (250, 250)
    assert picture[720 - y0, 620 - x0] > 200
    assert picture[5, 5] < 60
    assert [max(each.width, each.height) for each in made.images[0].levels] == [640, 1200]
    assert made.left_out is None


def test_a_frame_at_the_edge_lies_inside_the_image(blobs):
    one = named("a" * 64, challenger=(found(0, 0),))
    made = draw(record(one), [case("a" * 64)], blobs=blobs, progress=silent)
    assert made.crops["0.alarm.0"].frame == (0, 0, 250, 250)


def test_beyond_the_number_of_crops_the_worst_are_kept_and_the_rest_is_counted(blobs, monkeypatch):
    monkeypatch.setattr(pictures, "MAX_CROPS", 1)
    won = named("a" * 64, lesions=(lesion(100, 100),), challenger=(found(100, 100, lesion=0),))
    lost = named("b" * 64, lesions=(lesion(100, 100),), champion=(found(100, 100, lesion=0),))
    made = draw(record(won, lost), [case("a" * 64), case("b" * 64)], blobs=blobs, progress=silent)
    assert list(made.crops) == [places(made)[0].key] == ["1.lesion.0"]
    assert made.left_out.places == 1


def test_beyond_the_bytes_no_further_image_is_read(blobs, monkeypatch):
    monkeypatch.setattr(pictures, "MAX_BYTES", 1)
    both = [named(name * 64, challenger=(found(100, 100),)) for name in "ab"]
    read = [case("a" * 64), Case(image="b" * 64, patient="p", read=lambda: pytest.fail("read"), truth=())]
    made = draw(record(*both), read, blobs=blobs, progress=silent)
    assert list(made.crops) == ["0.alarm.0"]
    assert made.left_out.places == 1


def test_the_surroundings_of_a_lesion_are_measured_within_the_breast(blobs):
    bright = named("a" * 64, lesions=(lesion(615, 715),))
    dark = named("a" * 64, lesions=(lesion(100, 100),))
    for one, share in ((bright, 0.9), (dark, 0.0)):
        made = draw(record(one), [case("a" * 64, bright=(600, 700))], blobs=blobs, progress=silent)
        assert made.images[0].lesions[0].surroundings == pytest.approx(share, abs=0.11)
