"""The bill of materials lists the images' packages, and the report never says `none` where it does not know."""

from __future__ import annotations

import importlib
import stat
from importlib.metadata import version
from pathlib import Path

import pytest

DEPLOY = Path(__file__).parents[2] / "deploy"


@pytest.fixture
def module(monkeypatch):
    """Imports a script of deploy/, which is no package."""
    monkeypatch.syspath_prepend(str(DEPLOY))
    return importlib.import_module


def component(name: str, number: str) -> dict:
    return {"type": "library", "bom-ref": f"{name}=={number}", "name": name, "version": number}


def test_the_bill_has_every_package_of_the_image_with_its_hashes_and_none_of_the_tools(module):
    lock = module("image_lock").image_lock("cuda")
    installed = [component(name, version(name)) for name in [*lock, "pytest"]]
    root = {"bom-ref": "root", "name": "yolo-mlsam", "type": "application"}
    needs = [{"ref": "root", "dependsOn": [each["bom-ref"] for each in installed]}]
    bill = {"metadata": {"component": root}, "components": installed, "dependencies": needs}
    made = module("sbom").of_image(bill, lock)
    libraries = {each["name"]: each for each in made["components"] if each["type"] == "library"}
    assert set(libraries) == set(lock)
    (first, *_) = [each for each in libraries["redis"]["externalReferences"] if "hashes" in each]
    assert first["hashes"][0]["content"] in lock["redis"].hashes
    assert "pytest" not in str(made["dependencies"])
    images = {each["name"]: each for each in made["components"] if each["type"] == "container"}
    assert {"postgres", "nginx", "python", "heartexlabs/label-studio"} <= set(images)
    assert images["postgres"]["purl"].startswith("pkg:docker/postgres@sha256%3A")


def test_a_package_of_the_image_that_is_not_installed_as_locked_is_refused(module):
    lock = module("image_lock").image_lock("cuda")
    bill = {
        "metadata": {"component": {"bom-ref": "root"}},
        "components": [component(name, "0.0.1" if name == "redis" else version(name)) for name in lock],
        "dependencies": [],
    }
    with pytest.raises(SystemExit, match="not installed as locked: redis"):
        module("sbom").of_image(bill, lock)


ASKED = {"name": "redis", "version": "8.1.0", "vulns": []}
HIT = {"id": "PYSEC-1", "aliases": ["CVE-1"], "fix_versions": ["9"]}


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        ('{"dependencies": [{"name": "redis", "skip_reason": "not found"}]}', "**Not known.**"),
        ("no json", "**Not known.**"),
        ("", "**Not known.**"),
        ('{"dependencies": [{"name": "redis", "version": "8", "vulns": []}]}', "None is known of those."),
    ],
)
def test_a_database_that_was_not_reached_is_no_none_found(module, monkeypatch, tmp_path, answer, says):
    report = module("dependency_report")
    program = tmp_path / "pip-audit"
    program.write_text(f"#!/bin/sh\ncat <<'E'\n{answer}\nE\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setattr(report, "AUDIT", program)
    text = "\n".join(report.vulnerabilities(module("image_lock").image_lock("cuda")))
    assert says in text
    assert ("None is known" in text) == (says == "None is known of those.")


def test_what_was_skipped_is_said_beside_what_was_found(module):
    answers = [ASKED | {"vulns": [HIT]}, {"name": "torch", "skip_reason": "not found"}]
    text = "\n".join(module("dependency_report")._audit_lines(answers))
    assert "1 of 2 packages" in text
    assert "**Not known** of: torch." in text
    assert "redis 8.1.0: PYSEC-1 (CVE-1); fixed in 9" in text
    assert "None is known" not in text


def test_an_index_that_does_not_answer_makes_nothing_new(module):
    report, lock = module("dependency_report"), module("image_lock").image_lock("cuda")
    assert report.ages(lock, {}, None) == ["**Not known.** The package index did not answer."]
    table = "\n".join(report.ages(lock, {"redis": "8.9"}, {"redis": "9.0", "pytest": "99"}))
    assert f"1 of {len(lock)} packages are behind" in table
    assert "| redis | 8.1.0 | 8.9 | 9.0 |" in table
