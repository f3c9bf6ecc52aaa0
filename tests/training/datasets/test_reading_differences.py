"""Items of a dataset version are compared with the right image of a task."""

from __future__ import annotations

from mammo.findings import CLUSTER, Finding
from mammo.labelstudio.interpretation import Interpretation
from mammo.labelstudio.labeling_config import ControlTags
from tests.mammo.labelstudio.drawn import SIZE, A, B, filled
from training.datasets.annotation_reading import ImageReading
from training.datasets.items import Item
from training.datasets.reading_differences import differences

LCC = ControlTags(image="left", value="lcc", other_images=("right",))
RCC = ControlTags(image="right", value="rcc", other_images=("left",))
ON_A, ON_B = (Finding(label=CLUSTER, score=1.0, box=box, mask=filled(box)) for box in (A, B))


def read(tags: ControlTags, *findings: Finding) -> ImageReading:
    data = {"image": f"/{tags.value}.png"}
    return ImageReading(tags=tags, data=data, interpretation=Interpretation(findings=findings))


def item(shown: str, *findings: Finding, key: str = "") -> Item:
    held = tuple(
        {"box": list(each.box.as_tuple()), "mask": each.mask.to_coco(SIZE) if each.mask else None}
        for each in findings
    )
    return Item(
        task_id=1, annotation_id=1, updated_at="", content_hash="", image="", task_data={"image": shown},
        patient="p", annotator="a", view=None, spacing_mm=None, size=(SIZE.width, SIZE.height), fold="train",
        findings=held, image_key=key,
    )  # fmt: skip


def test_an_item_that_names_no_image_is_compared_with_the_one_that_it_shows() -> None:
    changes = differences([read(LCC, ON_A), read(RCC, ON_B)], [item("/rcc.png", ON_B)])
    assert [(each.kind, each.image) for each in changes] == [("new", LCC.image_key)]


def test_of_an_image_that_the_task_does_not_show_any_more_all_findings_are_gone() -> None:
    changes = list(differences([read(LCC, ON_A)], [item("/lcc.png", ON_A, key="left"), item("/x.png", ON_B)]))
    assert [(each.kind, each.box) for each in changes] == [("gone", B.as_tuple())]
