"""One region and its pixels: percent coordinates lose no pixel."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from mammo.geometry import Box, Point, Size
from mammo.labelstudio.labeling_config import ControlTags
from mammo.labelstudio.regions import box_of, point_of, point_region, rectangle_region

TAGS = ControlTags()


def rectangle(**value: float) -> dict[str, Any]:
    return {
        "id": "r", "type": "rectanglelabels", "from_name": "box", "to_name": "image",
        "original_width": 160, "original_height": 120, "image_rotation": 0,
        "value": {"x": 10, "y": 10, "width": 10, "height": 10, "rotation": 0, "rectanglelabels": ["Cluster"], **value},
    }  # fmt: skip


@given(st.data())
def test_whole_pixels_survive_percent_in_images_up_to_8192_pixels(data: st.DataObject) -> None:
    size = Size(data.draw(st.integers(1, 8192)), data.draw(st.integers(1, 8192)))
    x0, y0 = data.draw(st.integers(0, size.width - 1)), data.draw(st.integers(0, size.height - 1))
    box = Box(x0, y0, data.draw(st.integers(x0 + 1, size.width)), data.draw(st.integers(y0 + 1, size.height)))
    assert box_of(rectangle_region(box, size=size, tags=TAGS)) == box
    pixel = Box(x0, y0, x0 + 1, y0 + 1)
    assert point_of(point_region(pixel, size=size, tags=TAGS)) == Point(x0, y0)


def test_a_rectangle_over_the_border_is_cut_and_a_rotated_one_gives_its_bounding_box() -> None:
    assert box_of(rectangle(x=-5, width=10)) == Box(0, 12, 8, 24)
    assert box_of(rectangle(x=50, y=50, width=10, height=10, rotation=90)) == Box(68, 60, 80, 76)
