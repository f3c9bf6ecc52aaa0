from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

import cli.weights
from cli.__main__ import app, main
from mammo.blobs import hash_file
from mammo.detector.transfer import load_stock
from mammo.errors import InvalidWeights, WeightsUnavailable
from mammo.models.public_weights import find
from mammo.pinned_files import fetch
from tests.file_server import Behaviour, FileServer
from tests.mammo.detector.checkpoints import save_official, stock_network


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_official(stock_network(), tmp_path_factory.mktemp("official") / "mine.pt")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("YOLO_MLSAM_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("COLUMNS", "200")
    return tmp_path / "data" / "public-weights"


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["weights", *map(str, arguments)])


def refusal(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> str:
    with pytest.raises(SystemExit) as stopped:
        main(["weights", *map(str, arguments)])
    assert stopped.value.code == 1
    return capsys.readouterr().err


def test_the_list_names_every_file_its_licence_and_the_hash_that_is_missing() -> None:
    text = run("list").output
    assert "yolov8n" in text
    assert "AGPL-3.0" in text
    assert text.count("give --sha256") == 2


def test_a_file_of_ones_own_is_converted_once_on_ones_own_word(checkpoint: Path, folder: Path) -> None:
    digest = hash_file(checkpoint)
    done = run("add", checkpoint, "--as", "yolov8n", "--sha256", digest.upper())
    assert "349 of 355 tensors fit" in done.output
    assert sorted(path.name for path in folder.iterdir()) == ["yolov8n.json", "yolov8n.safetensors"]
    manifest = json.loads((folder / "yolov8n.json").read_text())
    assert (manifest["sha256"], manifest["url"], manifest["licence"]) == (digest, None, "AGPL-3.0")
    assert manifest["facts"]["transfer"]["copied"] == 349
    assert load_stock(folder / "yolov8n.safetensors").facts["sha256"] == digest
    assert checkpoint.exists()
    made = (folder / "yolov8n.safetensors").stat().st_mtime_ns
    assert "already here" in run("add", "yolov8n", "--file", checkpoint, "--sha256", digest).output
    assert (folder / "yolov8n.safetensors").stat().st_mtime_ns == made
    listed = run("list").output.splitlines()
    assert [line.split()[1] for line in listed if " yes " in line] == ["yolov8n"]
    assert listed[-1] == f"converted files: {folder}"


def test_a_command_finds_what_was_added_and_refuses_what_was_not_or_was_changed(
    checkpoint: Path, folder: Path
) -> None:
    with pytest.raises(WeightsUnavailable, match="get it with `yolo-mlsam weights add yolov8n`"):
        cli.weights.converted("yolov8n", network="detector")
    with pytest.raises(InvalidWeights, match="belongs to the segmenter"):
        cli.weights.converted("sam-b", network="detector")
    run("add", checkpoint, "--as", "yolov8n", "--sha256", hash_file(checkpoint))
    path = cli.weights.converted("yolov8n", network="detector")
    assert path == folder / "yolov8n.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    with pytest.raises(InvalidWeights, match="make it again"):
        cli.weights.converted("yolov8n", network="detector")


def test_a_data_folder_that_cannot_be_written_is_named(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("YOLO_MLSAM_DATA_DIR", str(tmp_path / "file"))
    own = ("add", checkpoint, "--as", "yolov8n", "--sha256", hash_file(checkpoint))
    assert "cannot be created (File exists): name another one in YOLO_MLSAM_DATA_DIR" in refusal(capsys, *own)


def test_a_converted_file_that_was_damaged_is_made_again(checkpoint: Path, folder: Path) -> None:
    own = ("add", checkpoint, "--as", "yolov8n", "--sha256", hash_file(checkpoint))
    run(*own)
    (folder / "yolov8n.safetensors").write_bytes(b"torn")
    run(*own)
    assert load_stock(folder / "yolov8n.safetensors").class_width == 80


def test_a_download_is_verified_converted_and_its_original_removed(
    checkpoint: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with FileServer(tmp_path) as server:
        server.paths["/yolov8n.pt"] = Behaviour(checkpoint.read_bytes(), cuts=[100_000])
        entry = find("yolov8n")
        local = {"url": f"{server.base}/yolov8n.pt", "sha256": hash_file(checkpoint), "size": None}
        monkeypatch.setattr(cli.weights, "find", lambda name: type(entry)(**{**vars(entry), **local}))

        def through_our_server(*arguments: Any, **options: Any) -> Path:
            with server.client() as client:
                return fetch(*arguments, **options, client=client)

        monkeypatch.setattr(cli.weights, "fetch", through_our_server)
        assert "349 of 355" in run("add", "yolov8n").output
        assert sorted(path.name for path in folder.rglob("*")) == [
            "downloads",
            "yolov8n.json",
            "yolov8n.safetensors",
        ]
        assert json.loads((folder / "yolov8n.json").read_text())["url"] == local["url"]
        assert len(server.requests) == 2
        assert "already here" in run("add", "yolov8n").output
        assert len(server.requests) == 2


def test_every_refusal_names_the_thing_and_the_remedy(
    checkpoint: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    digest = hash_file(checkpoint)
    assert "there are: yolov8n" in refusal(capsys, "add", "yolov9")
    assert "is unknown; name the weights with --as NAME" in refusal(capsys, "add", checkpoint)
    assert "is no file; check the path" in refusal(capsys, "add", "./missing.pt")
    assert "takes 64 hexadecimal digits" in refusal(capsys, "add", "yolov8n", "--sha256", "abc")
    assert "is not the pinned" in refusal(capsys, "add", "yolov8n", "--sha256", "0" * 64)
    assert "expected 6549796 bytes" in refusal(capsys, "add", "yolov8n", "--file", checkpoint)
    assert "Give it with --sha256" in refusal(capsys, "add", "hq-sam-b", "--file", checkpoint)
    assert "Learn it from a source you trust" in refusal(capsys, "add", "hq-sam-b")
    wrong = refusal(capsys, "add", checkpoint, "--as", "yolov8n", "--sha256", "0" * 64)
    assert f"expected SHA-256 {'0' * 64}, found {digest}" in wrong
    other = refusal(capsys, "add", checkpoint, "--as", "yolov8m", "--sha256", digest)
    assert "misshapen for yolov8m" in other
    assert not list(folder.rglob("*.safetensors"))
