"""What docs/ repeats of the code is what the code says."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from importlib import import_module
from pkgutil import iter_modules

from fastapi.routing import APIRoute

import backend.routes
from backend.evidence_pack import check_pack
from docs.make_pages import DOCS, docstrings, documented_settings, pages, settings_page
from docs.make_starter_evidence import FOLDER
from mammo.dicom.decoding_pool import MESSAGES
from mammo.models.starter_files import starter_manifest
from mammo.settings import PREFIX, Settings
from tests.docs.pages import PAGES, ROOT


def test_every_page_that_repeats_the_code_equals_it() -> None:
    stale = [str(path.relative_to(ROOT)) for path, text in pages().items() if path.read_text() != text]
    assert stale == [], "run `make pages`"


def test_the_evidence_pack_in_the_docs_is_of_the_starter_that_is_shipped() -> None:
    check_pack(FOLDER, trusted=None)
    shipped = starter_manifest()
    document = json.loads((FOLDER / "model-card.json").read_text())
    hashes = {f"{network} {facts['sha256']}" for network, facts in shipped["weights"].items()}
    assert (document["version"], set(document["weights"])) == (shipped["version"], hashes), (
        "run `python -m docs.make_starter_evidence`"
    )


def test_every_setting_is_on_the_settings_page_once() -> None:
    assert sorted(documented_settings((DOCS / "settings.md").read_text())) == sorted(Settings.model_fields)


def test_a_setting_is_documented_with_its_default_and_its_docstring() -> None:
    row = next(
        line for line in (DOCS / "settings.md").read_text().splitlines() if f"| `{PREFIX}PORT` |" in line
    )
    _, _, default, allowed, meaning, _ = (cell.strip() for cell in row.split("|"))
    assert default == f"`{Settings.model_fields['port'].default}`"
    assert allowed == "whole number, at least 1, at most 65535"
    assert meaning == docstrings(Settings)["port"]


def test_a_changed_table_is_written_again() -> None:
    text = (DOCS / "settings.md").read_text()
    assert settings_page(text.replace("Port the backend", "Door the backend")) == text


def test_no_page_names_a_setting_that_does_not_exist() -> None:
    named = {word for page in PAGES if page.name != "CHANGELOG.md" for word in _settings_in(page.read_text())}
    assert named <= set(Settings.model_fields)


def _settings_in(text: str) -> list[str]:
    # `YOLO_MLSAM_S3_...` stands for several.
    return [word.lower() for word in re.findall(rf"{PREFIX}([A-Z0-9_]*[A-Z0-9])\b(?!_)", text)]


def test_every_route_of_the_backend_is_on_the_http_page() -> None:
    modules = [import_module(f"backend.routes.{each.name}") for each in iter_modules(backend.routes.__path__)]
    routes = [route for module in modules for route in module.router.routes if isinstance(route, APIRoute)]
    told = {
        f"{method} {route.path}" for route in routes if route.include_in_schema for method in route.methods
    }
    page = (DOCS / "http.md").read_text()
    assert len(told) > 20
    assert [each for each in sorted(told) if f"`{each}`" not in page] == []


def test_every_check_of_the_doctor_is_in_its_table() -> None:
    folders = (ROOT / "cli/doctor", ROOT / "mammo/doctor")
    source = "".join(path.read_text() for folder in folders for path in folder.glob("*.py"))
    checks = set(re.findall(r'(?:well|broken|warning|skipped)\(\s*"([a-z-]+)"', source))
    table = (DOCS / "operations.md").read_text().partition("## Doctor")[2].partition("## ")[0]
    assert len(checks) > 20
    assert sorted(checks - set(re.findall(r"`([a-z-]+)`", table))) == []


NO_INPUT = ("reidentification", "results", "segmentation", "writing")
"""Modules of mammo/dicom that write results, and refuse no image that comes in."""


def test_every_code_with_which_a_file_is_refused_is_on_the_page_of_images() -> None:
    modules = [path for path in (ROOT / "mammo/dicom").glob("*.py") if path.stem not in NO_INPUT]
    codes = {code for path in modules for code in re.findall(r'code="(\w+)"', path.read_text())} | set(
        MESSAGES
    )
    page = (DOCS / "imaging.md").read_text()
    assert len(codes) > 20
    assert [code for code in sorted(codes) if f"`{code}`" not in page] == []


def test_the_command_tells_the_version_of_pyproject() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    command = [sys.executable, "-m", "cli", "--version"]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert run.stdout == f"yolo-mlsam {version}\n"
