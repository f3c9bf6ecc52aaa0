"""What doctor does with what its checks find; the traps themselves are set in tests/e2e/test_doctor.py."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import orjson
import pytest

from cli.doctor import command
from cli.doctor.command import examine, repair, show
from mammo.doctor.diagnosis import Diagnosis, broken, warning, well
from mammo.doctor.inspection import Inspection
from mammo.errors import LabelStudioError
from mammo.labelstudio import LabelStudioClient
from mammo.settings import Settings
from mammo.site import Site
from tests.fakes.label_studio import KEY, URL, FakeLabelStudio
from tests.sites import site_of


@pytest.fixture
def site(tmp_path: Path) -> Inspection:
    settings = Settings.load(data_dir=tmp_path, redis_url="redis://127.0.0.1:9/0", port=9)
    return Inspection(site=Site(settings=settings))


@pytest.fixture
def only(monkeypatch: pytest.MonkeyPatch):
    """Replaces all checks by one."""

    def use(check):
        monkeypatch.setattr(command, "SERVICE", (check,))
        monkeypatch.setattr(command.server_checks, "check_server", lambda site: [])
        monkeypatch.setattr(command.service_checks, "check_model", lambda site: [])

    return use


def test_without_anything_it_says_what_is_missing_and_asks_nobody(site: Inspection) -> None:
    found = {each.check: each for each in examine(site)}
    broken_ones = {name for name, each in found.items() if each.state == "broken"}
    assert broken_ones == {"settings", "redis", "label-studio", "backend"}
    assert all(found[name].remedy for name in broken_ones)
    assert found["project"].state == "skipped"


def test_what_is_repaired_is_fixed_and_what_is_not_says_why(site: Inspection, only) -> None:
    ill = {"a", "b", "c"}

    def fail() -> None:
        raise LabelStudioError("it is away")

    def check(_: Inspection) -> list[Diagnosis]:
        repairs = {"a": lambda: ill.discard("a"), "b": fail, "c": None}
        return [broken(n, n, "do", repairs[n]) if n in ill else well(n, n) for n in sorted(repairs)]

    only(check)
    states = {(each.check, each.state) for each in repair(lambda: site) if each.check != "project"}
    assert states == {("a", "ok"), ("a", "fixed"), ("b", "broken"), ("c", "broken")}
    (b,) = [each for each in repair(lambda: site) if each.check == "b"]
    assert "the repair failed: it is away" in b.says


def test_one_repair_for_several_faults_is_done_once(site: Inspection, only) -> None:
    done: list[int] = []

    def mend() -> None:
        done.append(1)

    only(lambda _: [broken("a", "a", "do", mend), warning("b", "b", "do", mend)] if not done else [])
    repair(lambda: site)
    assert done == [1]


def test_a_check_that_fails_is_a_diagnosis_and_the_others_go_on(site: Inspection, only) -> None:
    def check(_: Inspection) -> list[Diagnosis]:
        raise LabelStudioError("odd answer")

    only(check)
    assert [each.state for each in examine(site)] == ["broken", "skipped"]


def test_json_says_the_same_as_the_lines(capsys: pytest.CaptureFixture[str]) -> None:
    found = [well("a", "it [is] well"), broken("b", "it is not", "do this")]
    show(found, as_json=True)
    report = orjson.loads(capsys.readouterr().out)
    assert report["broken"] == 1
    assert report["checks"][1] == {"check": "b", "state": "broken", "says": "it is not", "remedy": "do this"}
    show(found, as_json=False)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert "it [is] well" in lines[0]
    assert lines[1].endswith("it is not → do this")


def test_a_project_that_is_not_there_is_said_once(site: Inspection, monkeypatch: pytest.MonkeyPatch) -> None:
    server = FakeLabelStudio()
    monkeypatch.setattr(command.server_checks, "check_server", lambda site: [])
    with LabelStudioClient(URL, KEY, transport=server.transport) as client:
        gone = replace(site, site=site_of(site.settings, label_studio=client), project=777)
        server.routes = [each for each in server.routes if "(\\d+)/" not in each[1]]
        found = [each for each in examine(gone) if "777" in each.line()]
    assert [each.check for each in found] == ["project"]
    assert "--project" in found[0].remedy
