"""From the PACS and back: images of a named patient are imported without names, prelabelled and corrected in the real
Label Studio, and the results lie in the original study; each step is a command that a person types."""

from __future__ import annotations

import io
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest

from cli.demo.stack import Stack
from cli.demo.walk import Walk
from cli.phantom import phantom_command
from mammo.dicom.reports.reading import read_report
from mammo.exchange.phantom_files import PhantomOptions
from mammo.findings import CLUSTER, Finding
from mammo.geometry import Size
from mammo.labelstudio.rendering import truth_regions
from mammo.masks import Mask
from mammo.phantom import vendor_b
from mammo.runs.jobs import PrelabelProject
from mammo.settings import PREFIX
from tests.mammo.dicom.segmentations import read_segmentation
from tests.orthanc_server import OrthancServer
from training.cases import silent

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(900)]

SIZE = Size(512, 640)
NAME, NUMBER = "DOE^JANE", "4711"


def patient(folder: Path) -> list[Path]:
    """Four views of a patient with a name."""
    small = replace(vendor_b(), width=SIZE.width, height=SIZE.height)
    phantom_command(PhantomOptions(patients=1, seed=5, appearance=small, positive=0.0), out=folder)
    files = sorted(each for each in folder.glob("*.dcm") if ".seg." not in each.name)
    for file in files:
        dataset = pydicom.dcmread(file)
        dataset.PatientName, dataset.PatientID, dataset.PatientIdentityRemoved = NAME, NUMBER, "NO"
        dataset.save_as(file)
    return files


def cluster(number: int) -> Finding:
    """What the person draws on a task."""
    mask = Mask(np.tri(30 + number, dtype=np.bool_), 200, 250)
    return Finding(label=CLUSTER, score=1.0, box=mask.frame, mask=mask, id=f"drawn-{number}")


def test_images_come_from_the_pacs_and_results_go_back_to_their_study(
    running_stack: Stack, orthanc: OrthancServer, tmp_path: Path
) -> None:
    files = patient(tmp_path / "patient")
    orthanc.push(*files)
    originals = [pydicom.dcmread(each, stop_before_pixels=True) for each in files]
    pacs = {
        f"{PREFIX}{name.upper()}": str(value) for name, value in orthanc.settings.items() if value is not None
    }
    environment = running_stack.environment() | pacs

    def call(*words: str) -> str:
        command = [sys.executable, "-m", "cli", "--quiet", *words]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    walk = Walk.on(running_stack)
    walk.create_project()
    project = str(walk.project)
    call("pacs", "import", "--project", project, "--since", "2000-01-01")
    tasks = list(walk.client.tasks(walk.project))
    assert len(tasks) == len(files)
    assert NUMBER not in repr(tasks)
    walk._finish(walk.queue.enqueue_prelabel(PrelabelProject(walk.project, None)).job_id, silent)
    version = walk.version()
    drawn = {}
    for number, task in enumerate(tasks):
        (prediction,) = walk.client.predictions(task["id"])
        assert prediction["model_version"] == version
        drawn[task["id"]] = cluster(number)
        regions = truth_regions([drawn[task["id"]]], size=SIZE, tags=walk.tags, source=version)
        walk.client.call("POST", f"/api/tasks/{task['id']}/annotations/", json={"result": regions})

    for kind, num_results in (("sr", 4), ("seg", 4), ("cad-sr", 1)):
        said = call("export", "--project", project, "--format", kind, "--to", "pacs")
        assert f"{num_results} results are new or changed" in said
    assert "0 results are new" in call("export", "--project", project, "--format", "sr", "--to", "pacs")

    assert len(orthanc.rest("GET", "/studies")) == 1
    held = [pydicom.dcmread(io.BytesIO(orthanc.file(each))) for each in orthanc.rest("GET", "/instances")]
    results = [each for each in held if each.Modality in ("SR", "SEG")]
    assert len(results) == 9
    reported = []
    for found in results:
        assert (str(found.PatientName), found.PatientID) == (NAME, NUMBER)
        assert found.StudyInstanceUID == originals[0].StudyInstanceUID
        path = tmp_path / "result.dcm"
        found.save_as(path)
        if found.Modality == "SEG":
            assert read_segmentation(path).image in {each.SOPInstanceUID for each in originals}
            continue
        for image in originals:
            reported += [
                (str(found.SOPClassUID), each.finding.box)
                for each in read_report(path, image=image.SOPInstanceUID, size=SIZE).findings
            ]
    boxes = sorted(each.box.as_tuple() for each in drawn.values())
    for sop_class in {kind for kind, _ in reported}:
        assert sorted(box.as_tuple() for kind, box in reported if kind == sop_class) == boxes
