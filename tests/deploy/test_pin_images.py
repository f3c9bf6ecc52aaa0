"""Images are pinned by digest, and `make pin` asks the registries for the digests of now."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DIGEST = "sha256:" + "5" * 64


def pin(*options: object, path: str | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, ROOT / "deploy/pin_images.py", *map(str, options)],
        capture_output=True,
        text=True,
        env=os.environ | ({"PATH": path} if path else {}),
    )


def test_every_image_of_somebody_else_is_pinned_by_digest():
    done = pin("--check")
    assert done.returncode == 0, done.stdout


@pytest.fixture
def files(tmp_path):
    """The two files, with one image whose digest somebody has left out."""
    for name in ("docker-compose.yml", "Dockerfile"):
        shutil.copy(ROOT / name, tmp_path)
    compose = tmp_path / "docker-compose.yml"
    compose.write_text(re.sub(r"(image: postgres:[^@]+)@\S+", r"\1", compose.read_text()))
    return tmp_path


def docker(folder: Path, body: str) -> str:
    """A PATH on which `docker` is this script."""
    program = folder / "bin" / "docker"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\n{body}\n")
    program.chmod(0o755)
    return f"{program.parent}:{os.environ['PATH']}"


def test_an_image_without_a_digest_is_named(files):
    done = pin("--check", "--folder", files)
    assert done.returncode == 1
    assert re.fullmatch(r"(\d+) of (\d+) images are pinned by digest\. postgres:\S+\n", done.stdout)


def test_each_image_gets_the_digest_that_its_registry_gives_to_its_tag_and_ours_stay(files):
    path = docker(files, f'echo "$@" >> {files}/asked; echo {DIGEST}')
    done = pin("--folder", files, path=path)
    assert done.returncode == 0, done.stderr
    compose, image = ((files / name).read_text() for name in ("docker-compose.yml", "Dockerfile"))
    named = re.findall(r"^\s*image: (\S+)$", compose, re.MULTILINE)
    assert {each for each in named if not each.startswith("yolo-mlsam-")} == {
        each.partition("@")[0] + f"@{DIGEST}" for each in named if not each.startswith("yolo-mlsam-")
    }
    assert {each for each in named if each.startswith("yolo-mlsam-")} == {
        "yolo-mlsam-backend:0.1.0",
        "yolo-mlsam-worker:0.1.0",
    }
    assert re.search(rf"^ARG PYTHON_IMAGE=python:\S+@{DIGEST}$", image, re.MULTILINE)
    asked = (files / "asked").read_text()
    assert re.search(r"^buildx imagetools inspect postgres:[\d.]+-alpine --format", asked, re.MULTILINE)
    assert "@" not in asked
    assert (
        compose.count("digests: asked of the registries on ")
        == image.count("digests: asked of the registries on ")
        == 1
    )
    assert pin("--check", "--folder", files).returncode == 0


@pytest.mark.parametrize("body", ["echo 'no such host' >&2; exit 1", "echo sha256:short"])
def test_without_every_answer_nothing_is_changed(files, body):
    before = [(files / name).read_text() for name in ("docker-compose.yml", "Dockerfile")]
    done = pin("--folder", files, path=docker(files, body))
    assert done.returncode == 1
    assert "nothing is changed" in done.stderr
    assert [(files / name).read_text() for name in ("docker-compose.yml", "Dockerfile")] == before
