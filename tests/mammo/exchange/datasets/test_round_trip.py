from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mammo.errors import InvalidRegion
from mammo.exchange.datasets.contents import DatasetOptions
from mammo.exchange.datasets.reading import Summary, read_dataset
from mammo.exchange.datasets.round_trip import checked_regions
from mammo.exchange.datasets.tasks import TaskWriter
from mammo.findings import CLUSTER, Finding
from mammo.geometry import Box, Size
from mammo.labelstudio import ControlTags, LabelStudioClient, from_regions
from mammo.masks import Mask
from tests.cli.test_import_dataset import SECRET, Studio
from tests.fakes.label_studio import KEY, URL
from tests.mammo.exchange.datasets.miniatures import grey_image
from tests.mammo.exchange.datasets.test_folder import mask
from tests.mammo.exchange.datasets.test_mias import mias

SIZE = Size(64, 80)
ALL = ControlTags()
BRUSH_ONLY = replace(ALL, rectangle=None, polygon=None, keypoint=None)
POLYGON_ONLY = replace(ALL, rectangle=None, brush=None, keypoint=None)
BOX_ONLY = replace(ALL, brush=None, polygon=None)
TOOLS = {"all": ALL, "brush": BRUSH_ONLY, "polygon": POLYGON_ONLY, "rectangle": BOX_ONLY}


def square(x: int, y: int, *, masked: bool = True, side: int = 6) -> Finding:
    bitmap = np.ones((side, side), np.bool_)
    drawn = Mask(bitmap, x, y) if masked else None
    return Finding(label=CLUSTER, score=1.0, box=Box(x, y, x + side, y + side), mask=drawn, id=f"f-{x}-{y}")


@pytest.mark.parametrize(
    ("tools", "findings", "reason"),
    [
        ("brush", [square(5, 5, masked=False)], "1 of its 1 clusters are boxes"),
        ("rectangle", [square(5, 5)], "--boxes-only"),
        ("rectangle", [square(5, 5), square(20, 20, masked=False)], "1 of its 2 clusters have a mask"),
        ("brush", [square(5, 5), square(11, 5)], "read back from the project as 1"),
    ],
)
def test_what_the_tools_of_a_project_cannot_hold_is_refused(
    tools: str, findings: list[Finding], reason: str
) -> None:
    with pytest.raises(InvalidRegion, match=reason) as caught:
        checked_regions(findings, size=SIZE, tags=TOOLS[tools], kind="coco")
    assert caught.value.code == "tools"


def test_an_outlined_box_is_read_back_as_a_box_until_somebody_changes_it() -> None:
    given = [square(5, 5), square(20, 20, masked=False)]
    regions = checked_regions(given, size=SIZE, tags=POLYGON_ONLY, kind="coco")
    assert [region["type"] for region in regions] == ["polygonlabels"] * 2
    back = from_regions(regions, tags=POLYGON_ONLY)
    assert [each.box for each in back] == [each.box for each in given]
    assert [each.mask is None for each in back] == [False, True]
    regions[1]["value"]["points"][0] = [20.0, 20.0]
    assert from_regions(regions, tags=POLYGON_ONLY)[1].mask is not None


def test_an_image_without_findings_is_fine_in_every_project() -> None:
    for tags in TOOLS.values():
        assert from_regions(checked_regions([], size=SIZE, tags=tags, kind="coco"), tags=tags) == []


PLACES = st.lists(st.tuples(st.integers(0, 57), st.integers(0, 73)), max_size=5, unique=True)


@given(PLACES, st.sampled_from(sorted(TOOLS)), st.booleans())
def test_whatever_is_written_is_read_back_in_number_and_kind_or_refused(
    places: list[tuple[int, int]], tools: str, masked: bool
) -> None:
    findings = [square(x, y, masked=masked) for x, y in places]
    try:
        regions = checked_regions(findings, size=SIZE, tags=TOOLS[tools], kind="coco")
    except InvalidRegion:
        return
    back = from_regions(regions, tags=TOOLS[tools])
    assert sorted(each.box.as_tuple() for each in back) == sorted(each.box.as_tuple() for each in findings)
    assert [each.mask is not None for each in back] == [masked] * len(findings)


@pytest.fixture
def studio() -> Studio:
    return Studio()


@pytest.fixture
def client(studio: Studio) -> Iterator[LabelStudioClient]:
    with LabelStudioClient(URL, KEY, transport=studio.transport) as client:
        yield client


def one_tool(studio: Studio, tag: str) -> None:
    control = f'<{tag} name="tool" toName="image"><Label value="Cluster"/></{tag}>'
    config = f'<View><Image name="image" value="$image"/>{control}</View>'
    studio.projects[1]["label_config"] = config


def imported(client: LabelStudioClient, root: Path, kind: str, **options: object) -> Summary:
    writer = TaskWriter(client, 1, kind=kind, root=root, twins=root / "files", patient_secret=SECRET)
    return read_dataset(DatasetOptions(kind=kind, folder=root, **options), writer, tags=writer.tags)  # type: ignore[arg-type]


def test_boxes_into_a_brush_project_are_refused_and_only_normal_images_come_in(
    tmp_path: Path, studio: Studio, client: LabelStudioClient
) -> None:
    one_tool(studio, "BrushLabels")
    result = imported(client, mias(tmp_path), "mias")
    assert (result.images, result.clusters, result.without) == (2, 0, 2)
    assert any("2 of its 2 clusters are boxes" in refusal.reason for refusal in result.refusals)
    assert len(studio.tasks) == 2


def test_masks_into_a_rectangle_project_are_refused_or_kept_as_boxes_on_request(
    tmp_path: Path, studio: Studio, client: LabelStudioClient
) -> None:
    one_tool(studio, "RectangleLabels")
    grey_image(tmp_path / "images" / "p1_a.png", np.tile(np.arange(32, dtype=np.uint16) * 900, (48, 1)))
    grey_image(tmp_path / "masks" / "p1_a.png", mask((3, 4), (20, 30)))
    refused = imported(client, tmp_path, "folder")
    assert (refused.images, refused.clusters, len(studio.tasks)) == (0, 0, 0)
    assert "--boxes-only" in refused.refusals[0].reason
    result = imported(client, tmp_path, "folder", boxes_only=True)
    assert (result.images, result.clusters, result.masks, result.boxes_of_masks) == (1, 2, 0, 2)
    tags = ControlTags.read(studio.projects[1]["label_config"])
    back = from_regions(studio.tasks[0]["annotations"][0]["result"], tags=tags)
    assert sorted(each.box.as_tuple() for each in back) == [(3, 4, 6, 8), (20, 30, 23, 34)]


def test_a_dry_run_for_a_projects_tools_refuses_what_the_import_would(tmp_path: Path) -> None:
    options = DatasetOptions(kind="mias", folder=mias(tmp_path))
    assert read_dataset(options, None, tags=BRUSH_ONLY).clusters == 0
    assert read_dataset(options, None, tags=ControlTags()).clusters == 2
