"""Phantoms in a real Orthanc are found, imported without names, once, and after it was killed."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pydicom
import pytest
from typer.testing import CliRunner

from cli.__main__ import app
from mammo.errors import MammoError
from mammo.pacs import PacsClient
from mammo.site import Site
from tests.mammo.dicom.patient_files import patient_file
from tests.mammo.dicom.pictures import breast_picture, with_text
from tests.mammo.exchange.exam_files import EXAM_CONFIG
from tests.mammo.exchange.import_files import SECRET, FakeTasks
from tests.mammo.pacs.patients import PLANTED, named
from tests.orthanc_server import OrthancServer


class Importing:
    """A site with a fake Label Studio, whose PACS is an Orthanc."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.root, self.client, self._monkeypatch = folder / "mammograms", FakeTasks(), monkeypatch
        self.root.mkdir()
        monkeypatch.setattr("mammo.labelstudio.LabelStudioClient", lambda *_: self.client)
        monkeypatch.setattr(self.client, "close", lambda: None)  # each command closes its own
        self.set(
            mammogram_root=self.root, twin_root=folder / "served", label_studio_url="http://127.0.0.1:1",
            label_studio_api_key="key", patient_secret=SECRET.decode(), data_dir=folder / "data",
        )  # fmt: skip

    def set(self, **settings: Any) -> None:
        for name, value in settings.items():
            if value is not None:
                self._monkeypatch.setenv(f"YOLO_MLSAM_{name.upper()}", str(value))

    def pacs(self, *words: str, code: int = 0) -> str:
        done = CliRunner().invoke(app, ["--quiet", "pacs", *words])
        if isinstance(done.exception, MammoError) and code == 1:
            return f"{done.output}{done.exception}"  # as `main` prints it
        if done.exception and not isinstance(done.exception, SystemExit):
            raise done.exception
        assert done.exit_code == code, done.output
        return done.output

    @property
    def files(self) -> list[Path]:
        return sorted(self.root.rglob("*.dcm"))


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, orthanc: OrthancServer) -> Importing:
    importing = Importing(tmp_path, monkeypatch)
    importing.set(**orthanc.settings)
    return importing


@pytest.fixture
def own_orthanc() -> Iterator[OrthancServer]:
    """One that a test may kill."""
    server = OrthancServer().start()
    yield server
    server.remove()


def test_what_was_found_is_imported_without_names_and_only_once(
    site: Importing, orthanc: OrthancServer, two_patients: list[Path], caplog: pytest.LogCaptureFixture
) -> None:
    orthanc.push(*two_patients)
    caplog.set_level(0)
    assert "8 images of 2 studies; 0 left out" in site.pacs("query", "--since", "2000-01-01")
    (left, *others) = json.loads(site.pacs("query", "--patient", "PID-1", "--view", "CC", "--json"))
    assert (left["laterality"], left["view"], left["patient"]) == ("L", "CC", "PID-1")
    assert len(others) == 1

    said = site.pacs("import", "--project", "7", "--since", "2000-01-01")
    assert "8 images from the PACS, 0 were here already" in said
    assert "8 new tasks in project 7" in said
    assert len({task["patient"] for task in site.client.data}) == 2
    said += site.pacs("import", "--project", "7", "--since", "2000-01-01")
    assert "0 images from the PACS, 8 were here already" in said
    assert "0 new tasks in project 7, 8 files imported before" in said
    assert len(site.client.data) == len(site.files) == 8

    written = [said, caplog.text, repr(site.client.data)]
    for path in site.root.parent.rglob("*"):  # mammograms, twins and the database
        written.append(str(path.relative_to(site.root)) if path.is_relative_to(site.root) else path.name)
        if path.is_file():
            written.append(path.read_bytes().decode("latin-1"))
    everything = "\n".join(written).lower()
    assert [planted for planted in PLANTED if planted in everything] == []


def test_a_project_of_exams_gets_a_task_for_each_study(
    site: Importing, orthanc: OrthancServer, two_patients: list[Path]
) -> None:
    orthanc.push(*two_patients)
    site.client.server.projects[7]["label_config"] = EXAM_CONFIG
    for _ in range(2):
        assert "of 2 studies" in site.pacs("query", "--since", "2000-01-01")
        site.pacs("import", "--project", "7", "--since", "2000-01-01", "--screen", "exam")
    assert len(site.client.data) == 2
    views = ("rcc", "lcc", "rmlo", "lmlo")
    assert all(task[f"{view}_sha256"] for task in site.client.data for view in views)


def test_a_result_finds_its_way_back_to_the_original_study(
    site: Importing, orthanc: OrthancServer, two_patients: list[Path]
) -> None:
    orthanc.push(two_patients[0])
    original = pydicom.dcmread(two_patients[0])
    site.pacs("import", "--project", "7", "--study", original.StudyInstanceUID)
    (file,) = site.files
    ours = pydicom.dcmread(file)
    assert ours.StudyInstanceUID != original.StudyInstanceUID
    with Site.load() as opened:
        found = opened.pacs_uids.find(ours.SOPInstanceUID)
    assert found is not None
    assert (found.study, found.series, found.instance, found.patient_id) == (
        original.StudyInstanceUID, original.SeriesInstanceUID, original.SOPInstanceUID, "PID-0",
    )  # fmt: skip
    assert found.frame_of_reference == getattr(original, "FrameOfReferenceUID", "")


def test_what_is_no_single_mammogram_is_left_out_with_a_reason(
    site: Importing, orthanc: OrthancServer, two_patients: list[Path], tmp_path: Path
) -> None:
    def changed(number: int, **changes: Any) -> Path:
        return named(
            Path(shutil.copy(two_patients[number], tmp_path / f"{number}.dcm")), patient="PID-0", **changes
        )

    raw = {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.1.2.1", "PresentationIntentType": "FOR PROCESSING"}
    orthanc.push(
        two_patients[0],
        changed(1, SOPClassUID="1.2.840.10008.5.1.4.1.1.13.1.3"),
        changed(2, NumberOfFrames="2"),
        changed(3, **raw),
    )
    said = site.pacs("query", "--patient", "PID-0", "--json")
    assert sorted(each["skipped"] for each in json.loads(said)) == [
        "", "an image of several frames", "breast tomosynthesis, of which single slices are no mammograms",
        "raw detector values (For Processing)",
    ]  # fmt: skip
    said = site.pacs("import", "--project", "7", "--patient", "PID-0")
    assert said.count("left out: 1 images") == 3
    assert len(site.client.data) == 1


def test_priors_are_the_earlier_studies_of_the_same_patients(
    site: Importing, orthanc: OrthancServer, two_patients: list[Path], tmp_path: Path
) -> None:
    for number, day in ((0, "20240102"), (1, "20220102"), (2, "20260102")):
        copy = Path(shutil.copy(two_patients[number], tmp_path / f"{number}.dcm"))
        orthanc.push(
            named(
                copy,
                patient="PID-0",
                StudyInstanceUID=f"1.2.{number}",
                SeriesInstanceUID=f"1.3.{number}",
                StudyDate=day,
            )
        )
    orthanc.push(two_patients[4])
    (study,) = json.loads(site.pacs("query", "--study", "1.2.0", "--json"))
    assert study["is_prior"] is False
    prior, now = json.loads(site.pacs("query", "--study", "1.2.0", "--priors", "--json"))
    assert (prior["study"], prior["is_prior"], now["study"]) == ("1.2.1", True, "1.2.0")
    assert (
        json.loads(site.pacs("query", "--since", "20250101", "--accession", "ACC-PID-0", "--json"))[0]["day"]
        == "20260102"
    )


def test_a_file_that_may_name_its_patient_waits_for_a_person_and_its_study_with_it(
    site: Importing, orthanc: OrthancServer, tmp_path: Path
) -> None:
    file = tmp_path / "text.dcm"
    file.write_bytes(patient_file(with_text(breast_picture(), "DOE^JANE", (60, 420)), instance=5))
    orthanc.push(file)
    words = ("import", "--project", "7", "--study", str(pydicom.dcmread(file).StudyInstanceUID))
    assert "1 studies are not complete yet" in site.pacs(*words, code=2)
    (waiting,) = site.files
    assert waiting.parent.name == "needs-a-human"
    assert "0 images from the PACS" in site.pacs(*words, code=2)
    waiting.rename(waiting.parent.parent / waiting.name)
    assert "1 new tasks in project 7" in site.pacs(*words)


def test_files_are_kept_as_they_are_sent_only_on_request(
    site: Importing, orthanc: OrthancServer, two_patients: list[Path]
) -> None:
    orthanc.push(two_patients[0])
    said = site.pacs("import", "--project", "7", "--patient", "PID-0", "--identified")
    (file,) = site.files
    assert file.read_bytes() == two_patients[0].read_bytes()
    assert file.stem.startswith("2.25.")
    with Site.load() as opened:
        (entry,) = opened.access.trail.newest()
    assert (entry.subject, entry.reason) == (
        "project 7",
        "1 images from the PACS, with the patient's identity",
    )
    assert "1 were here already" in site.pacs(
        "import", "--project", "7", "--patient", "PID-0", "--identified"
    )
    assert "PID-0" not in said


@pytest.mark.slow
def test_an_import_goes_on_after_the_pacs_was_killed_half_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own_orthanc: OrthancServer, two_patients: list[Path]
) -> None:
    own_orthanc.push(*two_patients)
    site = Importing(tmp_path, monkeypatch)
    site.set(**own_orthanc.settings, pacs_connections=1)
    retrieve, retrieved = PacsClient.retrieve, list[str]()

    def dying(self: PacsClient, study: str, series: str, instance: str, into: Any, *, max_bytes: int) -> int:
        retrieved.append(instance)
        if len(retrieved) == 6:
            own_orthanc.kill()
        return retrieve(self, study, series, instance, into, max_bytes=max_bytes)

    with monkeypatch.context() as patched:
        patched.setattr(PacsClient, "retrieve", dying)
        said = site.pacs("import", "--project", "7", "--since", "20000101", code=1)
    assert "cannot be reached" in said
    assert "1 studies are not complete yet" in said
    assert len(site.client.data) == 4
    own_orthanc.start()
    said = site.pacs("import", "--project", "7", "--since", "20000101")
    assert "3 images from the PACS, 5 were here already" in said
    assert len(site.client.data) == len(site.files) == 8


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ([], "a whole archive is never meant"),
        (["--patient", "PID*"], r"without \* \? and"),
        (["--since", "2026-13-01"], "YYYYMMDD"),
        (["--study", "1.2/../3"], "Study Instance UID"),
    ],
)
def test_a_query_that_cannot_be_meant_is_not_sent(site: Importing, words: list[str], sentence: str) -> None:
    assert re.search(sentence, " ".join(site.pacs("query", *words, code=2).replace("│", " ").split()))
