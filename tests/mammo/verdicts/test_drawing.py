import pytest

from mammo.verdicts.drawing import BOTTOM, LEFT, RIGHT, TOP, curve_paths, outline, scale_bar, x_of, y_of
from mammo.verdicts.record import Picture, Shape
from tests.mammo.verdicts.records import CURVE, image


def picture(side):
    return Picture(
        sha256="a" * 64, width=side, height=side, frame=(100, 200, 100 + side, 200 + side), bytes=1
    )


def test_the_scale_bar_has_the_length_it_names():
    bar = scale_bar(image(spacing=(0.1, 0.07)), picture(400))
    assert bar.text == "5 mm"
    assert (bar.x1 - bar.x0) * 0.07 == pytest.approx(5)
    assert 100 < bar.x0 < bar.x1 < 500
    assert 200 < bar.y < 600


def test_without_a_pixel_spacing_there_is_no_scale_bar():
    assert scale_bar(image(spacing=None), picture(400)) is None
    assert scale_bar(image(), picture(8)) is None


def test_a_shape_without_a_mask_is_drawn_as_its_box():
    assert outline(Shape(corners=(1, 2, 5, 7), parts=())) == "M1 2H5V7H1Z"
    assert outline(Shape(corners=(1, 2, 5, 7), parts=(((1, 2), (4, 6)),))) == "M1.5 2.5L4.5 6.5Z"


def test_the_curve_stays_inside_its_axes():
    assert (x_of(0.05), x_of(4.0), x_of(0.0)) == (LEFT, pytest.approx(RIGHT), LEFT)
    assert (y_of(0.0), y_of(1.0)) == (BOTTOM, TOP)
    paths = curve_paths(CURVE)
    assert paths.line.startswith(f"M{LEFT}.0 ")
    assert paths.band.endswith("Z")
