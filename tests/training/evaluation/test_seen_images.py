from mammo.geometry import Box, Spacing
from tests.training.detections import at, square
from tests.training.project import mammogram
from training.cases import Case
from training.evaluation.seen_images import SeenImages, images_of


def seen(detections, findings, *, truth=(), uncertain=(), spacing=None):
    from dataclasses import replace

    picture = replace(mammogram(1), spacing=spacing)
    case = Case(
        image=picture.sha256, patient="p", read=lambda: picture, truth=truth, uncertain=uncertain, task=9
    )
    observer = SeenImages()
    observer(case, picture, detections, findings)
    return observer.to_bytes()


def test_both_answers_about_an_image_are_joined():
    truth = (square(5, 5), square(30, 5))
    before = seen([at(10, 10, 0.9), at(35, 10, 0.1)], [square(5, 5, score=0.9)], truth=truth)
    after = seen([at(35, 10, 0.8)], [square(30, 5, 5, score=0.8), square(50, 30, score=0.5)], truth=truth)
    (image,) = images_of(before, after)
    assert (image.task, image.view, image.size) == (9, "LCC", (64, 48))
    assert image.champion.best == (0.9, 0.1)
    assert image.challenger.best == (None, 0.8)
    assert [(each.lesion, each.dice) for each in image.champion.found] == [(0, 1.0)]
    assert [(each.lesion, each.dice) for each in image.challenger.found] == [(1, 0.4), (None, None)]
    assert image.lesions[0].shape.parts == (((5, 5), (5, 14), (14, 14), (14, 5)),)


def test_sizes_are_in_mm_where_the_image_states_a_spacing():
    content = seen([], [], truth=(square(5, 5),), spacing=Spacing(0.1, 0.2, "imager"))
    (image,) = images_of(content, content)
    assert image.lesions[0].diameter_mm == 2.0
    content = seen([], [], truth=(square(5, 5),))
    assert images_of(content, content)[0].lesions[0].diameter_mm is None


def test_what_cannot_be_judged_is_neither_a_hit_nor_a_false_alarm():
    content = seen([at(55, 35, 0.9)], [square(50, 30, score=0.9)], uncertain=(Box(45, 25, 64, 48),))
    (image,) = images_of(content, content)
    assert image.champion.found == ()


def test_the_same_results_are_the_same_bytes():
    assert seen([at(10, 10, 0.9)], [square(5, 5)]) == seen([at(10, 10, 0.9)], [square(5, 5)])
