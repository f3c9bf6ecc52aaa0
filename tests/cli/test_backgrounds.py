from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

import cli.backgrounds
import mammo.backgrounds.public_set
from cli.__main__ import app, main
from mammo.pinned_files import fetch
from tests.file_server import Behaviour, FileServer
from tests.mammo.backgrounds.images import CONTENTS, SECRET, dicom, png, public_set


@pytest.fixture(autouse=True)
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("YOLO_MLSAM_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("YOLO_MLSAM_PATIENT_SECRET", SECRET.decode())
    monkeypatch.setenv("COLUMNS", "200")
    return tmp_path / "data"


@pytest.fixture
def normals(tmp_path: Path) -> Path:
    folder = tmp_path / "normals"
    folder.mkdir()
    (folder / "a.dcm").write_bytes(dicom())
    (folder / "b.png").write_bytes(png())
    return folder


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["backgrounds", *map(str, arguments)])


def refusal(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> str:
    with pytest.raises(SystemExit) as stopped:
        main(["backgrounds", *map(str, arguments)])
    assert stopped.value.code == 1
    return capsys.readouterr().err


def rows() -> dict[str, list[str]]:
    """Cells of the table by its first one."""
    lines = [line for line in run("list").output.splitlines() if line.startswith("│")]
    cells = [[cell.strip() for cell in line.strip("│").split("│")] for line in lines]
    return {first: rest for first, *rest in cells}


def test_the_list_names_the_public_sets_before_they_are_added_and_makes_no_folder(data: Path) -> None:
    assert rows() == {
        "monai": ["13", "at most 13", "0.07 to 0.1 mm", "Apache-2.0", "yes", ""],
        "birads": ["4", "1", "0.094 mm", "BSD-2-Clause", "yes", ""],
    }
    assert not data.exists()


def test_a_public_set_is_downloaded_listed_and_removed(
    tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with FileServer(tmp_path) as server:
        server.paths.update({f"/{name}": Behaviour(content) for name, content in CONTENTS.items()})

        def through_our_server(*arguments: Any, **options: Any) -> Path:
            with server.client() as client:
                return fetch(*arguments, **(options | {"client": client}))

        monkeypatch.setattr(mammo.backgrounds.public_set, "fetch", through_our_server)
        monkeypatch.setattr(cli.backgrounds, "PUBLIC_SETS", (public_set(server.base),))
        done = run("add", "tiny")
    assert done.exit_code == 0
    assert (
        "tiny: 2 images, patients: at most 2, 0.07 mm, Apache-2.0; weights trained on them may leave"
        in done.output
    )
    assert rows() == {"tiny": ["2", "at most 2", "0.07 mm", "Apache-2.0", "yes", "yes"]}
    (data / "backgrounds" / "tiny" / "A.png").unlink()
    assert rows()["tiny"][0] == "2, 1 missing: add again"
    assert run("remove", "tiny").output == "tiny: removed\n"
    assert rows()["tiny"][-1] == ""
    assert not (data / "backgrounds" / "tiny").exists()


def test_a_public_set_is_taken_from_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(cli.backgrounds, "PUBLIC_SETS", (public_set(),))
    assert "--from is no folder" in refusal(capsys, "add", "tiny", "--from", tmp_path / "none")
    assert "--from lacks 2 of the 2 files" in refusal(capsys, "add", "tiny", "--from", tmp_path)
    for name, content in CONTENTS.items():
        (tmp_path / name).write_bytes(content)
    assert run("add", "tiny", "--from", tmp_path).exit_code == 0
    assert rows()["tiny"][-1] == "yes"


def test_a_folder_of_ones_own_is_added_and_stays_at_the_site(normals: Path, tmp_path: Path) -> None:
    own = ("add", normals, "--name", "ours", "--licence", "consent of 2026")
    done = run(*own, "--spacing", "0.1")
    assert done.exit_code == 2
    assert "b.png: its patient is unknown" in done.stderr
    assert "1 new images, 1 refused" in done.stdout
    (tmp_path / "patients.csv").write_text("file,patient\nb.png,4711\n")
    done = run(*own, "--spacing", "0.1", "--patients", tmp_path / "patients.csv")
    assert done.exit_code == 0
    assert "1 new images, 1 added before, 0 refused" in done.stdout
    assert "weights trained on them must not leave this site" in done.stdout
    assert rows()["ours"] == ["2", "2", "0.07 to 0.1 mm", "consent of 2026", "no: this site only", "yes"]


def test_every_refusal_names_the_thing_and_the_remedy(
    normals: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, data: Path
) -> None:
    own = ("add", normals, "--name", "ours", "--licence", "consent")
    assert "neither a public set (monai, birads) nor a folder" in refusal(capsys, "add", "nyu")
    assert "--name, --spacing cannot be given for the public set monai" in refusal(
        capsys, "add", "monai", "--name", "ours", "--spacing", "0.1"
    )
    assert "a folder needs --name" in refusal(capsys, "add", normals, "--licence", "consent")
    assert "a folder needs --name" in refusal(capsys, "add", normals, "--name", "ours", "--licence", " ")
    assert "may have 200 characters" in refusal(
        capsys, "add", normals, "--name", "ours", "--licence", "c" * 201
    )
    assert "--from goes with a public set" in refusal(capsys, *own, "--from", normals)
    assert "there is no background set ours" in refusal(capsys, "remove", "ours")
    assert run(*own, "--spacing", "7").exit_code == 2
    assert run(*own, "--patients", normals / "none.csv").exit_code == 2
    monkeypatch.setenv("YOLO_MLSAM_PATIENT_SECRET", "short")
    assert "key of at least 16 bytes" in refusal(capsys, *own)
    assert not data.exists()
