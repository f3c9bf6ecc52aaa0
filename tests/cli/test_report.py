import hashlib
import json
import stat

import pytest

from cli.__main__ import main
from mammo.runs import RunLedger, Runs, claim
from mammo.site import Site
from mammo.verdicts.archive import verdict_blobs
from tests.mammo.verdicts.records import found, image, lesion, record


@pytest.fixture
def site(tmp_path, monkeypatch):
    monkeypatch.setenv("YOLO_MLSAM_DATA_DIR", str(tmp_path / "data"))
    site = Site.load(creates=True)
    yield site
    site.close()


def ended_run(site, name, outcome):
    runs = Runs(site.engine)
    runs.request(3, recipe="finetune", reason="a test", trigger="button", run_id=name)
    ledger = RunLedger(site.engine, claim(runs, name, owner="nowhere/1/1"))
    for state in ("building", "detector", "segmenter", "evaluating", "judged"):
        ledger.enter(state)
    ledger.end("kept", outcome, reason="a test")


def test_a_report_is_written_for_its_owner_only(site, tmp_path, capsys):
    made = record(image((lesion(5, 5),), (found(5, 5, lesion=0),), ()))
    ended_run(site, "run-1", {"pictures": {"record": site.blobs.put(made.to_bytes()), "pictures": []}})
    out = tmp_path / "verdict.html"
    with pytest.raises(SystemExit) as end:
        main(["report", "verdict", "run", "--out", str(out)])
    assert not end.value.code
    assert "lost: only the champion found it" in out.read_text()
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    assert "verdict.html" in capsys.readouterr().out


def test_a_run_without_pictures_is_refused_and_nothing_is_written(site, tmp_path, capsys):
    ended_run(site, "run-2", {"reason": "of an earlier release"})
    out = tmp_path / "verdict.html"
    with pytest.raises(SystemExit) as end:
        main(["report", "verdict", "run-2", "--out", str(out)])
    assert end.value.code == 1
    assert "has no verdict with pictures" in capsys.readouterr().err
    assert not out.exists()


def test_a_damaged_record_is_refused(site, tmp_path, capsys):
    content = json.dumps({"format": 1}).encode()
    ended_run(site, "run-3", {"pictures": {"record": site.blobs.put(content), "pictures": []}})
    with pytest.raises(SystemExit) as end:
        main(["report", "verdict", "run-3", "--out", str(tmp_path / "x.html")])
    assert end.value.code == 1
    assert "cannot be read" in capsys.readouterr().err
    assert hashlib.sha256(content).hexdigest() in verdict_blobs(site.engine)
