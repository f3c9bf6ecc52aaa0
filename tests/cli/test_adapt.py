"""`yolo-mlsam adapt` from a folder of a site's own images to a registered challenger."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from cli.__main__ import app, main
from mammo.dicom import encode_png
from mammo.phantom import phantom_view, vendor_a
from mammo.site import Site
from tests.mammo.backgrounds.images import SECRET

SMALL = replace(vendor_a(), width=448, height=576)


@pytest.fixture
def site(tmp_path: Path, redis_url: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The data folder of an installation with the starter as champion."""
    values = {
        "DATA_DIR": str(tmp_path / "data"),
        "PATIENT_SECRET": SECRET.decode(),
        "REDIS_URL": redis_url,
        "RUNTIME": "torch",
        "THREADS": "1",
    }
    for name, value in values.items():
        monkeypatch.setenv(f"YOLO_MLSAM_{name}", value)
    monkeypatch.setenv("COLUMNS", "200")
    with Site.load(creates=True) as made:
        assert made.registry.champion().version.startswith("starter")
    return tmp_path / "data"


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(each) for each in arguments])


def refusal(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    with pytest.raises(SystemExit) as stopped:
        main(["adapt", *map(str, arguments)])
    assert stopped.value.code == 1
    return capsys.readouterr().err


def add_normals(folder: Path, count: int) -> None:
    """Add phantoms without clusters as the set `ours`, PNG files that state no spacing, one per patient."""
    folder.mkdir(exist_ok=True)
    rows = ["file,patient"]
    for number in range(count):
        view = phantom_view(
            8800 + number,
            laterality="L",
            view="CC",
            clusters=0,
            appearance=SMALL,
            width=SMALL.width,
            height=SMALL.height,
        )
        (folder / f"{number:02d}.png").write_bytes(encode_png(view.stored << (16 - view.bits)))
        rows.append(f"{number:02d}.png,W{number}")
    table = folder.parent / "patients.csv"
    table.write_text("\n".join(rows))
    own = ("--name", "ours", "--licence", "consent of 2026", "--spacing", vendor_a().spacing_mm)
    added = run("backgrounds", "add", folder, *own, "--patients", table)
    assert added.exit_code == 0, added.output


def test_every_refusal_says_what_came_and_what_to_do(
    site: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "there is no background set ours" in refusal(capsys, "--backgrounds", "ours")
    add_normals(tmp_path / "normals", 3)
    assert "3 images of 3 patients came; an adaptation needs at least 12" in refusal(
        capsys, "--backgrounds", "ours"
    )
    assert "recipe 'best' is not one of adapt, smoke" in refusal(
        capsys, "--backgrounds", "ours", "--recipe", "best"
    )
    assert run("adapt").exit_code == 2
    assert json.loads(run("runs", "list", "--json").output) == []


@pytest.mark.slow
def test_a_site_is_adapted_in_this_process_or_by_a_worker(site: Path, tmp_path: Path) -> None:
    add_normals(tmp_path / "normals", 14)
    done = run("adapt", "--backgrounds", "ours", "--recipe", "smoke")
    assert done.exit_code == 0, done.output
    # Benign specks of a phantom may be suspicious, as those of a woman may be.
    counts = re.search(r"(\d+) images to train on, (\d+) to validate, (\d+) held out, (\d+) set", done.stdout)
    assert counts is not None, done.output
    assert sum(map(int, counts.groups())) == 14
    assert done.stdout.count("set aside as suspicious, look at it: ours/") == int(counts[4])
    assert "(adapted, judged on inserted clusters)" in done.stdout
    (row,) = json.loads(run("runs", "list", "--json").output)
    assert (row["trigger"], row["state"], row["project"], row["recipe"]) == ("adapt", "kept", 0, "smoke")
    with Site.load() as opened:
        challenger = opened.registry.find("challenger")
        assert challenger is not None
        manifest = opened.registry.manifest(challenger)
    assert manifest["stays_at_site"] == ["ours (consent of 2026)"]
    assert manifest["run"] == row["id"]
    shown = run("models", "show", challenger).output
    assert "adapted, judged on inserted clusters" in shown
    assert "sensitivity at 0.5 false positives per image" in shown
    assert not list((site / "runs" / row["id"]).glob("material*"))
    queued = run("adapt", "--backgrounds", "ours", "--recipe", "smoke", "--enqueue")
    assert queued.exit_code == 0, queued.output
    assert "queued; follow it with `yolo-mlsam runs watch adapt-0-" in queued.output
    assert "another process" not in run("runs", "list").output
