"""From the PACS and back, by commands: images of a named patient come without names into the real Label Studio, are
prelabelled by the real model and corrected, and the results lie in the original study and say what the person said."""

from __future__ import annotations

import io
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from typer.testing import CliRunner

from cli.__main__ import app
from cli.demo.stack import Stack
from cli.demo.walk import Walk
from cli.phantom import phantom_command
from mammo.dicom.reports.reading import read_report
from mammo.exchange.phantom_files import PhantomOptions
from mammo.findings import CLUSTER, Finding
from mammo.geometry import Size
from mammo.labelstudio.interpretation import from_regions
from mammo.labelstudio.rendering import truth_regions
from mammo.masks import Mask
from mammo.phantom import vendor_b
from mammo.runs.payloads import PrelabelProject
from mammo.settings import PREFIX
from tests.e2e.edits import update_annotation
from tests.mammo.dicom.segmentations import read_segmentation
from tests.mammo.pacs.patients import NAME, PLANTED, named
from tests.orthanc_server import OrthancServer
from training.cases import silent

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(600)]

SIZE = Size(900, 1100)
Command = Callable[..., str]


@pytest.fixture
def walk(running_stack: Stack) -> Iterator[Walk]:
    """An empty project; what a test imports is gone afterwards."""
    walk = Walk(running_stack)
    walk.create_project()
    yield walk
    walk.client.call("DELETE", f"/api/projects/{walk.project}/")
    root = running_stack.settings.mammogram_root
    assert root is not None
    shutil.rmtree(root / "pacs", ignore_errors=True)


@pytest.fixture
def call(running_stack: Stack, orthanc: OrthancServer, monkeypatch: pytest.MonkeyPatch) -> Command:
    """Runs a command on the stack's site, whose PACS is the Orthanc."""
    pacs = {name: str(value) for name, value in orthanc.settings.items() if value is not None}
    values = running_stack.environment() | {f"{PREFIX}{name.upper()}": each for name, each in pacs.items()}
    for name, value in values.items():
        monkeypatch.setenv(name, value)

    def run(*words: str) -> str:
        done = CliRunner().invoke(app, ["--quiet", *words], env={"COLUMNS": "250"})
        if done.exception and not isinstance(done.exception, SystemExit):
            raise done.exception
        assert done.exit_code == 0, done.output
        return done.output

    return run


def patient(folder: Path) -> list[Path]:
    """Four views of a patient with a name, with clusters."""
    appearance = replace(vendor_b(), width=SIZE.width, height=SIZE.height)
    phantom_command(PhantomOptions(patients=1, seed=5, appearance=appearance, positive=1.0), out=folder)
    files = sorted(each for each in folder.glob("*.dcm") if ".seg." not in each.name)
    return [named(each, patient="PID-0") for each in files]


def drawn(number: int, size: int) -> Finding:
    """What the person adds to a task."""
    mask = Mask(np.tri(size, dtype=np.bool_), 300 + 20 * number, 500)
    return Finding(label=CLUSTER, score=1.0, box=mask.frame, mask=mask, id=f"drawn-{number}")


def outlines(findings: list[Finding]) -> list[str]:
    """The outlines of findings in a form that compares by value."""
    return sorted(str(each.mask.to_coco(SIZE)) for each in findings if each.mask)


def held(orthanc: OrthancServer) -> list[Dataset]:
    return [pydicom.dcmread(io.BytesIO(orthanc.file(each))) for each in orthanc.rest("GET", "/instances")]


def results(orthanc: OrthancServer, images: set[str], folder: Path) -> dict[tuple[str, str], list[list[str]]]:
    """The outlines of each version of a result, by modality and image; the newest is last."""
    found: dict[tuple[str, str], list[tuple[str, str, list[str]]]] = {}
    for number, result in enumerate(each for each in held(orthanc) if each.Modality in ("SEG", "SR")):
        path = folder / f"{number}.result"
        result.save_as(path)
        if result.Modality == "SEG":
            read = read_segmentation(path)
            said = read.predecessor, str(result.SOPInstanceUID), outlines(list(read.findings))
            found.setdefault(("SEG", read.image), []).append(said)
            continue
        for image in images:
            report = read_report(path, image=image, size=SIZE)
            if report.findings:
                said = (
                    "".join(report.predecessors),
                    report.sop_instance_uid,
                    outlines([each.finding for each in report.findings]),
                )
                found.setdefault((str(result.SOPClassUID), image), []).append(said)
    ordered = {}
    for key, versions in found.items():
        by_predecessor, newest, ordered[key] = {each[0]: each for each in versions}, "", []
        while newest in by_predecessor:
            _, newest, said_there = by_predecessor[newest]
            ordered[key].append(said_there)
        assert len(ordered[key]) == len(versions), "each version but the first names the one that it replaces"
    return ordered


def test_images_come_from_the_pacs_and_what_was_corrected_goes_back_to_their_study(
    walk: Walk, call: Command, orthanc: OrthancServer, tmp_path: Path
) -> None:
    files = patient(tmp_path / "patient")
    originals = [pydicom.dcmread(each, stop_before_pixels=True) for each in files]
    orthanc.push(*files)
    images = {str(each.SOPInstanceUID) for each in originals}
    assert "4 images of 1 studies" in call("pacs", "query", "--since", "2000-01-01")
    project = str(walk.project)
    assert "4 new tasks" in call("pacs", "import", "--project", project, "--since", "2000-01-01")
    tasks = list(walk.client.tasks(walk.project))
    assert not [planted for planted in PLANTED if planted in repr(tasks).lower()]

    walk.finish(walk.site.queue.enqueue_prelabel(PrelabelProject(walk.project, None)).job_id, silent)
    version, corrected, annotations, num_found = walk.version(), {}, {}, 0
    for number, task in enumerate(tasks):
        (prediction,) = walk.client.predictions(task["id"])
        assert prediction["model_version"] == version
        prelabel = from_regions(prediction["result"], tags=walk.tags)
        num_found += len(prelabel)
        corrected[task["id"]] = [*prelabel, drawn(number, 40)]
        regions = truth_regions(corrected[task["id"]], size=SIZE, tags=walk.tags, source=version)
        annotations[task["id"]] = walk.client.annotate(task["id"], regions, lead_time=12.0)
        walk.annotations += 1
    assert num_found > 0
    walk.expect_corrections()

    for kind, num_results in (("sr", 4), ("seg", 4), ("cad-sr", 1)):
        said = call("export", "--project", project, "--format", kind, "--to", "pacs")
        assert f"{num_results} results are new or changed, 0 as they were" in said
        assert f"{num_results} results sent to the PACS, 0 wait" in said

    first = tasks[0]["id"]  # the person looks again
    again = [*corrected[first][:-1], drawn(0, 50)]
    regions = truth_regions(again, size=SIZE, tags=walk.tags, source=version)
    update_annotation(walk.client, annotations[first], regions)
    for kind in ("sr", "seg"):
        said = call("export", "--project", project, "--format", kind, "--to", "pacs")
        assert "1 results are new or changed, 3 as they were" in said

    assert len(orthanc.rest("GET", "/studies")) == 1
    for result in held(orthanc):
        assert (str(result.PatientName), result.PatientID) == (NAME, "PID-0")
        assert result.StudyInstanceUID == originals[0].StudyInstanceUID
    found = results(orthanc, images, tmp_path)
    said_first = sorted(map(outlines, corrected.values()))
    said_last = sorted(map(outlines, (corrected | {first: again}).values()))
    kinds = {kind for kind, _ in found}
    assert len(kinds) == 3
    for kind in kinds:
        versions = [each for (other, _), each in found.items() if other == kind]
        assert sorted(each[0] for each in versions) == said_first
        is_changed = sorted(map(len, versions)) == [1, 1, 1, 2]
        assert sorted(each[-1] for each in versions) == (said_last if is_changed else said_first)
    assert sum(len(each) for each in found.values()) == 14
