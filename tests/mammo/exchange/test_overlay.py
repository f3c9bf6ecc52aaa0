from pathlib import Path

import cv2
import numpy as np

from mammo.exchange.overlay import PRELABEL, PROMPT, cut, draw, grey_picture, write_png
from mammo.findings import CLUSTER, Finding
from mammo.geometry import Box, Point
from mammo.masks import Mask


def test_the_outline_lies_on_the_border_of_the_mask_and_prompts_are_marked():
    picture = grey_picture(np.full((200, 200), 0.5, np.float32))
    mask = Mask(np.ones((20, 30), np.bool_), 50, 60)
    finding = Finding(label=CLUSTER, score=0.5, box=mask.frame, mask=mask, prompts=(Point(64, 70),))
    draw(picture, [finding], colour=PRELABEL, scores=False)
    assert tuple(picture[60, 50]) == PRELABEL
    assert tuple(picture[79, 79]) == PRELABEL
    assert tuple(picture[70, 64]) == PROMPT
    assert tuple(picture[66, 55]) != PRELABEL, "the inside stays visible"


def test_a_written_overlay_keeps_its_colours(tmp_path: Path):
    picture = np.zeros((4, 5, 3), np.uint8)
    picture[:] = PRELABEL
    write_png(str(tmp_path / "o.png"), picture)
    back = cv2.cvtColor(cv2.imread(str(tmp_path / "o.png")), cv2.COLOR_BGR2RGB)
    assert np.array_equal(back, picture)
    assert cut(picture, Box(1, 1, 3, 4)).shape == (3, 2, 3)


def test_an_image_without_any_tissue_is_drawn_too():
    assert not grey_picture(np.zeros((64, 64), np.float32)).any()
