"""What is found in CC and MLO of one breast is linked in the prelabel, where the labeling config has the relation."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import pytest

from mammo.annotations import AnnotationStore
from mammo.findings import CLUSTER, Finding, ImageFindings
from mammo.geometry import Box, Size, Spacing
from mammo.labelstudio import ControlTags, from_regions
from mammo.labelstudio.relations import lesions_of
from mammo.landmarks import Landmarks
from mammo.prelabelling import TaskPrelabeller
from mammo.settings import Settings

VIEWS = ("RCC", "RMLO", "LCC")
RELATION = '<Relations><Relation value="same lesion"/></Relations>'


def config(relation: str) -> str:
    images = "".join(
        f'<Image name="{view}" value="${view.lower()}"/>'
        f'<PolygonLabels name="outline-{view}" toName="{view}"><Label value="Cluster"/></PolygonLabels>'
        for view in VIEWS
    )
    return f"<View>{images}{relation}</View>"


def open_image(data: Mapping[str, Any]) -> Any:
    view = data["image"].removesuffix(".png")
    laterality, projection = (view[0], view[1:]) if view.isupper() else (None, None)
    return SimpleNamespace(
        size=Size(800, 600), sha256=view * 10, name=view.upper(), laterality=laterality, view=projection
    )


class OneLesion:
    """A model that finds a cluster 30 mm behind the nipple in every view, and knows the nipple where it is told."""

    version = "m0001-aa"

    def __init__(self, *, sees_nipples: bool) -> None:
        self._sees_nipples = sees_nipples

    def prelabel(self, mammogram: Any, *, threshold: float | None) -> ImageFindings:
        finding = Finding(label=CLUSTER, score=0.9, box=Box(300, 200, 360, 260), id="c1")
        landmarks = Landmarks(nipple=(630.0, 300.0), wall="left", spacing=Spacing(0.1, 0.1, "imager"))
        return ImageFindings(
            findings=(finding,), num_cut=0, landmarks=landmarks if self._sees_nipples else None
        )


def predict(
    store: AnnotationStore, data: Mapping[str, str], *, relation: str = RELATION, sees: bool = True
) -> Any:
    prelabeller = TaskPrelabeller.of(
        OneLesion(sees_nipples=sees),
        project=3,
        config=config(relation),
        settings=Settings(),
        open_image=open_image,
        store=store,
    )
    made = prelabeller.predict(7, data)
    prelabeller.record(7, made, project=3, shown=True)
    assert prelabeller.recorded(7, {**data, **{f"{k}_sha256": v for k, v in made.images.items()}}, project=3)
    return made.prediction["result"]


DATA = {view.lower(): f"{view}.png" for view in VIEWS}


def test_the_views_of_one_breast_are_linked_and_those_of_the_other_are_not(store: AnnotationStore) -> None:
    result = predict(store, DATA)
    assert lesions_of(result) == {"RCC-c1": "RCC-c1", "RMLO-c1": "RCC-c1"}
    for tags in ControlTags.read(config(RELATION)).on(DATA):
        (finding,) = from_regions(result, tags=tags)
        assert finding.id == f"{tags.image}-c1"


def test_the_task_says_the_view_of_an_image_that_does_not(store: AnnotationStore) -> None:
    data = {"rcc": "rcc.png", "rmlo": "rmlo.png", "lcc": ""}
    assert lesions_of(predict(store, data)) == {}
    stated = {"rcc_laterality": "R", "rcc_view": "CC", "rmlo_laterality": "R", "rmlo_view": "MLO"}
    assert set(lesions_of(predict(store, data | stated))) == {"RCC-c1", "RMLO-c1"}


@pytest.mark.parametrize(("relation", "sees"), [("", True), (RELATION, False)])
def test_without_the_relation_or_without_nipples_nothing_is_linked(
    store: AnnotationStore, relation: str, sees: bool
) -> None:
    assert lesions_of(predict(store, DATA, relation=relation, sees=sees)) == {}


def test_two_images_of_one_view_are_not_compared(store: AnnotationStore) -> None:
    twice = {**DATA, "lcc": "RCC.png"}
    assert lesions_of(predict(store, twice)) == {}
