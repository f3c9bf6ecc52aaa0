"""The evidence pack: all that is recorded of a project's model, whole, signed, and without names."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from backend.evidence_pack import check_pack, gather, write_pack
from backend.evidence_pack.part import Part
from backend.evidence_pack.software import bill_of_materials
from mammo.errors import InvalidBundle, StorageUnavailable, UnknownProject
from mammo.models.signing import make_key
from mammo.settings import Settings
from mammo.site import Site
from tests.console_history import HOSTILE, PROJECT, QUIET_PROJECT, History, fill
from tests.console_site import NAMES
from tests.fakes.label_studio import KEY, FakeLabelStudio
from tests.fakes.served import served

PARTS = [Part(file="a.json", title="A", content=b"1\n"), Part(file="b.csv", title="B", content=b"x,y\n")]


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Site, History]]:
    folder, fake = tmp_path_factory.mktemp("evidence"), FakeLabelStudio()
    fake.users = [{"id": user, "first_name": name} for user, name in NAMES.items()]
    for project in (PROJECT, QUIET_PROJECT):
        fake.add_project(project)
    with served(fake) as label_studio:
        settings = Settings.load(
            data_dir=folder / "data",
            label_studio_url=label_studio,
            label_studio_api_key=KEY,
            patient_secret="the pack's test",
            recipe="finetune",
        )
        with Site(settings=settings, creates=True) as site:
            yield site, fill(site, fake, folder, now=datetime.now(UTC), reason=HOSTILE)


@pytest.mark.slow
def test_a_pack_says_which_model_serves_from_what_data_and_why(
    filled: tuple[Site, History], tmp_path: Path
) -> None:
    site, history = filled
    folder = tmp_path / "pack"
    write_pack(gather(site, PROJECT), project=PROJECT, to=folder, key=None)
    read = {each.stem: json.loads(each.read_bytes()) for each in folder.glob("*.json")}
    assert read["model-card"]["version"] == history.champion
    assert len(read["model-card"]["weights"]) == 2
    assert {each["fold"]: each["patients"] for each in read["dataset"]["folds"]}["test"] == 4
    assert read["verdict"]["run"] == history.promoted
    assert len(read["verdict"]["challenger"]["curve"]["low"]) > 2
    assert {run["id"] for run in read["gate-history"]["runs"]} == {
        history.promoted,
        history.kept,
        history.failed,
    }
    assert len(read["readers"]["readers"]) == 3
    assert set(read["automation-bias"]["arms"]) == {"prelabelled"}
    with (folder / "audit.csv").open() as file:
        assert sum(1 for _ in csv.reader(file)) > 3
    page = (folder / "index.html").read_text()
    assert "claims no regulatory standing" in page
    assert "is whole" in page
    everything = page + "".join(each.read_text() for each in folder.iterdir())
    assert "<script" not in page
    for name in NAMES.values():
        assert name not in everything


@pytest.mark.slow
def test_a_project_of_which_nothing_is_recorded_is_refused(filled: tuple[Site, History]) -> None:
    with pytest.raises(UnknownProject, match="77"):
        gather(filled[0], 77)


def test_a_pack_of_the_installation_is_about_its_champion_and_has_nothing_that_only_projects_have(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "pack"
    with Site.load(creates=True, data_dir=tmp_path / "data") as site:
        write_pack(gather(site, None), project=None, to=folder, key=None)
        champion = site.registry.champion().version
    assert json.loads((folder / "model-card.json").read_text())["version"] == champion
    present = {each.name for each in folder.iterdir()}
    assert present.isdisjoint({"readers.json", "learning-curve.json", "automation-bias.json"})
    assert {"gate-history.json", "audit.csv", "software.cdx.json"} <= present
    assert "Evidence pack of the champion" in (folder / "index.html").read_text()


def test_a_pack_is_checked_file_by_file_and_against_its_signer(tmp_path: Path) -> None:
    public = make_key(tmp_path / "key")
    folder = tmp_path / "pack"
    write_pack(PARTS, project=3, to=folder, key=tmp_path / "key")
    assert check_pack(folder, trusted=[public]) == 3
    with pytest.raises(InvalidBundle, match="does not trust"):
        check_pack(folder, trusted=["0" * 64])
    (folder / "a.json").write_bytes(b"2\n")
    with pytest.raises(InvalidBundle, match=r"a\.json was changed"):
        check_pack(folder, trusted=None)
    (folder / "a.json").unlink()
    with pytest.raises(InvalidBundle, match=r"a\.json is missing"):
        check_pack(folder, trusted=None)


def test_a_list_of_hashes_that_was_changed_with_its_file_breaks_the_signature(tmp_path: Path) -> None:
    public = make_key(tmp_path / "key")
    write_pack(PARTS, project=3, to=tmp_path / "pack", key=tmp_path / "key")
    write_pack([PARTS[0]], project=3, to=tmp_path / "other", key=None)
    (tmp_path / "pack/SHA256SUMS").write_bytes((tmp_path / "other/SHA256SUMS").read_bytes())
    with pytest.raises(InvalidBundle, match="changed after it was signed"):
        check_pack(tmp_path / "pack", trusted=[public])


def test_nothing_is_overwritten_and_what_is_no_pack_is_said(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").touch()
    with pytest.raises(StorageUnavailable, match="not empty"):
        write_pack(PARTS, project=3, to=tmp_path, key=None)
    with pytest.raises(InvalidBundle, match="no evidence pack"):
        check_pack(tmp_path, trusted=None)
    (tmp_path / "SHA256SUMS").write_bytes(b"\xff\n")
    with pytest.raises(InvalidBundle, match="no evidence pack"):
        check_pack(tmp_path, trusted=None)


def test_the_bill_of_materials_names_what_the_service_needs_and_no_tool_of_developers() -> None:
    bill = bill_of_materials()
    names = {each["name"] for each in bill["components"]}
    assert {"torch", "pydicom", "starlette", "numpy"} <= names
    assert names.isdisjoint({"pytest", "mypy", "mkdocs", "yolo-mlsam"})
    assert bill["metadata"]["component"]["name"] == "yolo-mlsam"
