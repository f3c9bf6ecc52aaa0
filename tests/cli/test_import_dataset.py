from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cli.__main__ import main
from cli.import_dataset import report
from mammo.dicom import patient_key
from mammo.exchange.datasets.contents import DatasetOptions
from mammo.exchange.datasets.reading import READERS, Summary, read_dataset
from mammo.exchange.datasets.tasks import TaskWriter
from mammo.images.task_images import TaskImages
from mammo.labelstudio import LabelStudioClient, from_regions, labeling_config
from mammo.labelstudio.labeling_config import ControlTags
from tests.fakes.label_studio import KEY, URL, FakeLabelStudio
from tests.mammo.exchange.datasets.miniatures import digital, grey_image
from tests.mammo.exchange.datasets.test_folder import mask
from tests.mammo.exchange.datasets.test_mias import mias

SECRET = b"a secret of the site"


class Studio(FakeLabelStudio):
    """Also takes annotations."""

    def __init__(self) -> None:
        super().__init__()
        self.projects[1] = {"id": 1, "label_config": labeling_config()}
        self.routes.append(("POST", r"/api/tasks/(\d+)/annotations/", self._annotate))

    def _annotate(self, body: dict[str, Any], params: dict[str, str], number: str) -> dict[str, Any]:
        (task,) = [task for task in self.tasks if task["id"] == int(number)]
        return self._add(task.setdefault("annotations", []), body)


@pytest.fixture
def studio() -> Studio:
    return Studio()


@pytest.fixture
def client(studio: Studio) -> Iterator[LabelStudioClient]:
    with LabelStudioClient(URL, KEY, transport=studio.transport) as client:
        yield client


def imported(client: LabelStudioClient, folder: Path, root: Path, kind: str) -> Any:
    writer = TaskWriter(client, 1, kind=kind, root=root, twins=root / "files", patient_secret=SECRET)
    return read_dataset(DatasetOptions(kind=kind, folder=folder), writer, tags=writer.tags)


def test_images_become_tasks_with_annotations_and_patient_keys(
    tmp_path: Path, studio: Studio, client: LabelStudioClient
) -> None:
    folder = tmp_path / "set"
    folder.mkdir()
    found = imported(client, mias(folder), tmp_path, "mias")
    assert (found.images, found.already, len(studio.tasks)) == (3, 0, 3)
    first, second, third = (task["data"] for task in studio.tasks)
    assert first["patient"] == second["patient"] != third["patient"]
    assert "pair" not in first["patient"]
    assert (second["laterality"], second["view"], second["spacing_mm"]) == ("L", "MLO", [0.2, 0.2])
    assert (tmp_path / "files" / first["image"].partition("?d=")[2]).is_file()
    results = [task["annotations"][0]["result"] for task in studio.tasks]
    assert [len(from_regions(result, tags=ControlTags())) for result in results] == [0, 2, 0]
    assert from_regions(results[1], tags=ControlTags())[0].box.as_tuple() == (5, 35, 15, 45)
    assert all(region["meta"] == {"dataset": "mias"} and "score" not in region for region in results[1])


def test_the_service_reads_the_very_file_at_its_stated_spacing(
    tmp_path: Path, studio: Studio, client: LabelStudioClient
) -> None:
    imported(client, mias(tmp_path), tmp_path, "mias")
    mammogram = TaskImages(root=tmp_path, downloads=None).open(studio.tasks[0]["data"])
    assert mammogram.sha256 == studio.tasks[0]["data"]["sha256"]
    assert mammogram.spacing is not None
    assert mammogram.spacing.mean_mm == 0.2


def test_a_second_import_adds_nothing_and_an_interrupted_one_is_completed(
    tmp_path: Path, studio: Studio, client: LabelStudioClient
) -> None:
    imported(client, mias(tmp_path), tmp_path, "mias")
    del studio.tasks[1]["annotations"]  # as if it had been stopped between task and annotation
    again = imported(client, tmp_path, tmp_path, "mias")
    assert (again.images, again.already, len(studio.tasks)) == (3, 2, 3)
    assert [len(task["annotations"]) for task in studio.tasks] == [1, 1, 1]


def test_the_same_name_in_two_data_sets_is_two_people(
    tmp_path: Path, studio: Studio, client: LabelStudioClient
) -> None:
    for kind, seed in (("folder", 1), ("coco", 2)):
        digital(tmp_path / kind / "images" / "p1_a.dcm", seed)
        grey_image(tmp_path / kind / "masks" / "p1_a.png", mask((3, 4)))
        writer = TaskWriter(client, 1, kind=kind, root=tmp_path, twins=tmp_path / "t", patient_secret=SECRET)
        options = DatasetOptions(kind="folder", folder=tmp_path / kind)
        read_dataset(options, writer, tags=writer.tags)
    one, other = (task["data"]["patient"] for task in studio.tasks)
    assert one != other


def test_a_patient_has_the_key_that_a_plain_import_gives(
    tmp_path: Path, studio: Studio, client: LabelStudioClient
) -> None:
    digital(tmp_path / "images" / "x_a.dcm", 1, patient_id="PHANTOM-7")
    grey_image(tmp_path / "masks" / "x_a.png", mask((3, 4)))
    imported(client, tmp_path, tmp_path, "folder")
    assert studio.tasks[0]["data"]["patient"] == patient_key("PHANTOM-7", SECRET)


def run(*words: str) -> int:
    with pytest.raises(SystemExit) as caught:
        main(["import-dataset", *words])
    assert isinstance(caught.value.code, int)
    return caught.value.code


def test_a_dry_run_prints_counts_and_refusals_and_needs_no_server(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("mias", str(mias(tmp_path)), "--dry-run") == 2
    out = capsys.readouterr().out
    assert "3 images of 2 patients would be imported; 4 refused" in out
    assert "2 clusters (0 with a mask), 2 images without any" in out
    assert "class CALC: 2" in out
    assert "refused: Info.txt, line 6: the position of its calcifications is missing" in out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("ddsm", "."), "expected a format of"),
        (("mias", "."), "--dry-run"),
        (("mias", ".", "--project", "1", "--twins", "t"), "YOLO_MLSAM_MAMMOGRAM_ROOT"),
    ],
)
def test_a_senseless_call_says_what_is_missing(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], message: str
) -> None:
    monkeypatch.delenv("YOLO_MLSAM_MAMMOGRAM_ROOT", raising=False)
    assert run(*words) == 1
    assert message in capsys.readouterr().err


def test_a_data_set_outside_the_root_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"MAMMOGRAM_ROOT": str(tmp_path / "root"), "LABEL_STUDIO_URL": URL,
                        "LABEL_STUDIO_API_KEY": KEY, "PATIENT_SECRET": "s"}.items():  # fmt: skip
        monkeypatch.setenv(f"YOLO_MLSAM_{name}", value)
    assert run("mias", str(tmp_path), "--project", "1", "--twins", str(tmp_path)) == 1
    assert "must lie below" in capsys.readouterr().err


def test_every_kind_has_a_reader() -> None:
    assert set(READERS) == {"cbis-ddsm", "inbreast", "vindr", "mias", "coco", "folder", "yolo"}


def test_the_report_counts_what_was_left_out_of_masks() -> None:
    summary = Summary(images=1, clusters=2, boxes_of_masks=2, small_parts=[3])
    lines = list(report(summary, dry_run=True))
    assert any("of 2 masks only the box" in line for line in lines)
    assert any("1 parts of masks, of 3 pixels at most" in line for line in lines)
