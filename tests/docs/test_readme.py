"""The example of README is what the commands do."""

from __future__ import annotations

import json
import re
import shlex

import pytest

from cli.__main__ import app
from tests.docs.pages import ROOT

README = (ROOT / "README.md").read_text()
(COMMANDS,) = re.findall(r"## Without any server\n.*?```bash\n(.*?)```", README, re.DOTALL)
(SHOWN,) = re.findall(r"```json\n(.*?)```", README, re.DOTALL)


@pytest.mark.slow
def test_the_prelabel_of_the_readme_is_what_prelabel_writes(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    for line in COMMANDS.splitlines():
        program, *arguments = shlex.split(line)
        assert program == ".venv/bin/yolo-mlsam"
        assert app(arguments, standalone_mode=False) in (0, None)
    (report,) = (json.loads(path.read_text()) for path in (tmp_path / "results").glob("*.json"))
    shown = json.loads(SHOWN)
    assert report.keys() == shown.keys()
    assert {key: report[key] for key in shown if key != "findings"} == {
        key: value for key, value in shown.items() if key != "findings"
    }
    (found,), (finding,) = report["findings"], shown["findings"]
    assert list(found) == list(finding)
    # Processors round differently.
    assert found["box"] == pytest.approx(finding["box"], abs=3)
    assert found["score"] == pytest.approx(finding["score"], abs=0.02)
    assert found["area_mm2"] == pytest.approx(finding["area_mm2"], rel=0.05)
    assert found["mask"]["size"] == finding["mask"]["size"]
    assert found["label"] == finding["label"]
    assert found["mask"].keys() == finding["mask"].keys()
