"""What doctor says of stored annotations that cannot be read, in a real database."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cli.doctor.annotation_checks import check_annotations, check_labels
from cli.doctor.command import PROJECT
from mammo.annotations import AnnotationStore
from mammo.database import open_database
from mammo.doctor.diagnosis import Diagnosis
from mammo.doctor.inspection import Inspection
from mammo.labelstudio import LabelStudioClient
from mammo.labelstudio.labeling_config import labeling_config
from mammo.settings import Settings
from tests.fakes.label_studio import KEY, URL, FakeLabelStudio
from tests.mammo.labelstudio.drawn import A, rectangle
from tests.mammo.labelstudio.test_older_prelabels import sent
from tests.sites import site_of
from tests.training.project import Project

OTHERS = """<View><Image name="image" value="$image"/>
<RectangleLabels name="box" toName="image"><Label value="Cluster"/><Label value="Mass"/></RectangleLabels>
<PolygonLabels name="outline" toName="image"><Label value="Cluster"/></PolygonLabels>
<KeyPointLabels name="prompt-point" toName="image" smart="true" smartOnly="true"><Label value="Cluster"/>
<Label value="Axilla"/></KeyPointLabels></View>"""


def labelled(label: str) -> dict[str, Any]:
    drawn = rectangle(A)
    drawn["value"]["rectanglelabels"] = [label]
    return drawn


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Callable[..., Inspection]]:
    """Makes a site of project 1 whose database holds these annotations."""
    server = FakeLabelStudio()
    settings = Settings.load(data_dir=tmp_path)
    with LabelStudioClient(URL, KEY, transport=server.transport) as client:

        def make(*results: list[dict[str, Any]], config: str = labeling_config()) -> Inspection:
            server.projects[1] = {"id": 1, "label_config": config}
            if results:
                engine = open_database(settings.database)
                store = AnnotationStore(engine)
                project = Project(store)
                for number, result in enumerate(results, 1):
                    project.annotate(number, [], patient=str(number), result=result)
                store.close()
                engine.dispose()
            return Inspection(site=site_of(settings, label_studio=client), project=1)

        yield make


def said(found: Iterator[Diagnosis]) -> list[tuple[str, str]]:
    return [(each.state, each.line()) for each in found]


def test_annotations_in_an_older_form_are_read_and_counted(site: Callable[..., Inspection]) -> None:
    assert said(check_annotations(site(sent(), [], sent()))) == [("ok", "all 3 annotations can be read")]


def test_refused_ones_are_counted_by_code_with_their_numbers_and_a_remedy(
    site: Callable[..., Inspection],
) -> None:
    tool = rectangle(A) | {"type": "magicwand"}
    label, other_tool = said(
        check_annotations(site(sent(), *([[labelled("Kalk")]] * 4), [tool]))
    )  # by code: unknown_label, unknown_tool
    assert (label[0], other_tool[0]) == ("warning", "warning")
    assert "4 of 6 annotations are refused" in label[1]
    assert "unknown_label (annotation 2, 3, 4, …): a region has the label 'Kalk'" in label[1]
    assert "→ add the label to the labeling config" in label[1]
    assert "1 of 6 annotations are refused" in other_tool[1]
    assert "unknown_tool (annotation 6)" in other_tool[1]


def test_labels_that_are_never_read_are_named_and_prompts_are_none(site: Callable[..., Inspection]) -> None:
    ((state, line),) = said(check_labels(site(config=OTHERS)))
    assert state == "ok"
    assert "'mass' of 'box'" in line
    assert "axilla" not in line
    assert said(check_labels(site())) == []


def test_a_config_that_names_no_cluster_or_a_database_that_is_not_there_is_no_failure_of_the_check(
    site: Callable[..., Inspection], tmp_path: Path
) -> None:
    assert said(check_annotations(site())) == [
        ("skipped", "the database cannot be read (no_database); see the check `database`")
    ]
    assert list(tmp_path.iterdir()) == [], "it makes none"
    (found,) = said(check_annotations(site([], config="<View/>")))
    assert found == (
        "skipped",
        "the labeling config does not say which labels mean a cluster (labeling_config)",
    )
    assert said(check_labels(site(config="<View/>"))) == []


def test_doctor_asks_both() -> None:
    assert {check_annotations, check_labels} <= set(PROJECT)
