"""From the PACS and back: images of a named patient are imported without names, their corrections go back to the
original study; each step is a command, on a real Orthanc, and Label Studio is a stand-in."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pydicom
import pytest
from typer.testing import CliRunner

from cli.__main__ import app
from mammo.dicom.reports.reading import read_report
from mammo.findings import CLUSTER, Finding
from mammo.geometry import Size
from mammo.labelstudio import ControlTags, LabelStudioClient, labeling_config, truth_regions
from mammo.masks import Mask
from mammo.site import Site
from tests.fakes.label_studio import KEY, FakeLabelStudio
from tests.fakes.served import served
from tests.mammo.dicom.segmentations import read_segmentation
from tests.mammo.pacs.patients import NAME
from tests.orthanc_server import OrthancServer

pytestmark = pytest.mark.slow

PROJECT, VERSION = 7, "m0001-aabbccdd"
SIZE = Size(256, 320)
"""Of the phantoms."""


@pytest.fixture
def studio(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, orthanc: OrthancServer
) -> Iterator[FakeLabelStudio]:
    """A site's Label Studio with an empty project; the site's PACS is the Orthanc."""
    (tmp_path / "mammograms").mkdir()
    fake = FakeLabelStudio()
    fake.add_project(PROJECT, config=labeling_config())
    with served(fake) as url:
        settings = orthanc.settings | {
            "data_dir": tmp_path / "data",
            "mammogram_root": tmp_path / "mammograms",
            "twin_root": tmp_path / "twins",
            "patient_secret": "the secret of the tests",
            "label_studio_url": url,
            "label_studio_api_key": KEY,
        }
        for name, value in settings.items():
            if value is not None:
                monkeypatch.setenv(f"YOLO_MLSAM_{name.upper()}", str(value))
        with Site.load(creates=True) as site:
            assert site.engine
        yield fake


def call(*words: str) -> str:
    done = CliRunner().invoke(app, ["--quiet", *words], env={"COLUMNS": "250"})
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == 0, done.output
    return done.output


def cluster(number: int) -> Finding:
    """What a person draws on a task."""
    mask = Mask(np.tri(30 + number, dtype=np.bool_), 100, 120)
    return Finding(label=CLUSTER, score=1.0, box=mask.frame, mask=mask, id=f"drawn-{number}")


def annotate(client: LabelStudioClient, task: int, *found: Finding) -> None:
    regions = truth_regions(found, size=SIZE, tags=ControlTags.read(labeling_config()), source=VERSION)
    client.call("POST", f"/api/tasks/{task}/annotations/", json={"result": regions})


def test_images_come_from_the_pacs_and_corrections_go_back_to_their_study(
    studio: FakeLabelStudio, orthanc: OrthancServer, two_patients: list[Path], tmp_path: Path
) -> None:
    files = two_patients[:4]
    orthanc.push(*files)
    originals = [pydicom.dcmread(each, stop_before_pixels=True) for each in files]
    call("pacs", "import", "--project", str(PROJECT), "--since", "2000-01-01")
    with Site.load() as site:
        client = site.client
        tasks = [int(each["id"]) for each in client.tasks(PROJECT)]
        assert len(tasks) == 4
        drawn = [cluster(number) for number in range(4)]
        for task, found in zip(tasks, drawn, strict=True):
            annotate(client, task, found)
        for kind, num_results in (("sr", 4), ("seg", 4), ("cad-sr", 1)):
            said = call("export", "--project", str(PROJECT), "--format", kind, "--to", "pacs")
            assert f"{num_results} results are new or changed, 0 as they were" in said
            assert f"{num_results} results sent to the PACS, 0 wait" in said
        annotate(client, tasks[0])  # the person has looked again: there is nothing
        said = call("export", "--project", str(PROJECT), "--format", "sr", "--to", "pacs")
        assert "1 results are new or changed, 3 as they were" in said

    assert len(orthanc.rest("GET", "/studies")) == 1
    held = [pydicom.dcmread(io.BytesIO(orthanc.file(each))) for each in orthanc.rest("GET", "/instances")]
    results = [each for each in held if each.Modality in ("SR", "SEG")]
    assert len(results) == 10
    reported: list[tuple[str, tuple[int, ...]]] = []
    for result in results:
        assert (str(result.PatientName), result.PatientID) == (NAME, "PID-0")
        assert result.StudyInstanceUID == originals[0].StudyInstanceUID
        path = tmp_path / "result.dcm"
        result.save_as(path)
        if result.Modality == "SEG":
            assert read_segmentation(path).image in {each.SOPInstanceUID for each in originals}
            continue
        for image in originals:
            found_here = read_report(path, image=image.SOPInstanceUID, size=SIZE).findings
            reported += [(str(result.SOPClassUID), each.finding.box.as_tuple()) for each in found_here]
    boxes = sorted(each.box.as_tuple() for each in drawn)
    kinds = {kind for kind, _ in reported}
    assert len(kinds) == 2
    for kind in kinds:
        assert sorted(box for each, box in reported if each == kind) == boxes
    replaced = [each for each in results if "PredecessorDocumentsSequence" in each]
    assert len(replaced) == 1
