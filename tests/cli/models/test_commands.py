"""The commands as they are typed, on a data folder of their own."""

import json
import re
from datetime import UTC, datetime

import pytest
import sqlalchemy as sa
from typer.testing import CliRunner

from cli.__main__ import app
from cli.models.tidying import gc
from mammo.annotations import AnnotationStore
from mammo.database import writing
from mammo.errors import InvalidBundle, InvalidSettings, InvalidWeights, ModelNotFound
from mammo.models import PROVISIONAL
from mammo.models.provisional import serve
from mammo.runs import Runs
from mammo.site import Site
from tests.fakes.label_studio import KEY, FakeLabelStudio
from tests.fakes.served import served
from tests.mammo.corrected import CONFIG, correct, show
from tests.mammo.models.test_unusable_versions import ROWS, insert_rows, make_champion
from tests.mammo.models.versions import register
from tests.training.detections import square
from tests.training.gate.test_gate import evaluation
from training.gate.gate import GateRule, judge


@pytest.fixture
def site(tmp_path, monkeypatch):
    monkeypatch.setenv("YOLO_MLSAM_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("COLUMNS", "250")
    monkeypatch.chdir(tmp_path)
    return Site.load(creates=True).registry


def run(*words):
    result = CliRunner().invoke(app, ["models", *words], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_promote_by_hand_and_roll_back_leave_a_name_and_a_reason(site, tmp_path):
    starter = re.search(r"starter-\w+", run("list"))[0]
    version = register(site, tmp_path, "a", parent=starter)
    assert f"{starter} -> {version}" in run("promote", version, "--reason", "our readers prefer it")
    assert "already" in run("promote", "champion", "--reason", "again")
    assert f"{version} -> {starter}" in run("rollback", "--reason", "it misses amorphous clusters")
    told = run("history")
    assert "our readers prefer it" in told
    assert "it misses amorphous clusters" in told
    assert "@" in told
    assert site.champion().version == starter


def test_a_provisional_model_is_listed_as_such_kept_by_gc_and_withdrawn_with_a_reason(site, tmp_path):
    version = register(site, tmp_path, "a", **{PROVISIONAL: 4})
    whole = Site.load()
    with writing(whole.engine) as connection:
        serve(connection, 4, version, reason="better", actor="test")
    site.note(version, "verdict", {"promoted": False, "reason": "serves project 4", "verdict": {}})
    row = next(line for line in run("list").splitlines() if version in line)
    assert "serves project 4" in row
    assert "provisional" in row
    assert "project 4, which it serves provisionally" in run("gc")
    told = run("withdraw", "--project", "4", "--reason", "too many alarms")
    assert f"{version} no longer serves project 4; starter-" in told
    with pytest.raises(ModelNotFound, match="no provisional model"):
        run("withdraw", "--project", "4", "--reason", "again")


def test_a_pinned_project_is_listed_kept_by_gc_and_unpinned_with_a_reason(site, tmp_path):
    first = register(site, tmp_path, "a")
    assert f"project 4 is pinned to {first}" in run("pin", first, "--project", "4", "--reason", "a trial")
    row = next(line for line in run("list").splitlines() if first in line)
    assert "pinned in project 4" in row
    assert re.search(rf"{first}: kept for project 4, which \S+@\S+ pinned to it", run("gc"))
    told = run("unpin", "--project", "4", "--reason", "it has ended")
    assert f"project 4 is no longer pinned to {first}; starter-" in told
    with pytest.raises(ModelNotFound, match="not pinned"):
        run("unpin", "--project", "4", "--reason", "again")
    with pytest.raises(InvalidSettings, match="--reason is empty"):
        run("pin", first, "--project", "4", "--reason", " ")


def test_a_version_whose_files_are_damaged_is_not_promoted_and_one_that_failed_elsewhere_is_with_a_warning(
    site, tmp_path
):
    run("list")
    before = site.champion()
    version, other = register(site, tmp_path, "a"), register(site, tmp_path, "b")
    digest = site.manifest(version)["detector"]["sha256"]
    (damaged,) = [path for path in (tmp_path / "data" / "blobs").rglob(f"*{digest[4:]}") if path.is_file()]
    damaged.write_bytes(b"x" + damaged.read_bytes()[1:])
    with pytest.raises(InvalidWeights):
        run("promote", version, "--reason", "try")
    assert site.champion() == before
    site.note(other, "self_test_failed", {"host": "gpu-7", "reason": "it should find a cluster"})
    assert "failed its self-test on gpu-7 (it should find a cluster)" in run(
        "promote", other, "--reason", "try"
    )


def test_a_move_without_a_reason_is_refused_and_moves_nothing(site, tmp_path):
    run("list")
    before = site.champion()
    with pytest.raises(InvalidSettings, match="reason"):
        run("promote", register(site, tmp_path, "a"), "--reason", " ")
    assert site.champion() == before


def test_show_and_diff_tell_manifest_verdict_and_moves(site, tmp_path):
    run("list")
    a, b = (register(site, tmp_path, name, recipe=f"recipe {name}") for name in "ab")
    verdict = judge(evaluation(a, dice=0.6), evaluation(b, dice=0.71234), rule=GateRule(), newest=())
    site.note(b, "verdict", {"promoted": False, "reason": verdict.reason, "verdict": verdict.to_json()})
    told = json.loads(run("show", b[:6], "--json"))
    assert told["manifest"]["recipe"] == "recipe b"
    assert told["notes"][0]["verdict"]["challenger"]["dice"] == pytest.approx(0.71234)
    shown = run("show", b)
    assert verdict.reason in " ".join(shown.split())
    assert re.search(r"Dice, all clusters +\S +0\.600 +\S +0\.712 +\S +\+0\.112 +\S +0\.03 ", shown)
    assert "newest patients: fewer than 4" in shown
    difference = run("diff", a, b)
    assert "recipe a" in difference
    assert "recipe b" in difference
    assert re.search(r"test dice +\S +- +\S +0\.7123", difference)
    assert "prompt_rule" not in difference
    assert "kept the champion" in run("list")


def test_a_card_is_printed_written_and_given_as_json(site, tmp_path):
    starter = site.champion().version
    assert "Model " in run("card")
    assert "cards.md" in run("card", "champion", "--out", "cards.md")
    assert "## Never tested on" in (tmp_path / "cards.md").read_text()
    assert json.loads(run("card", "--json"))["version"] == starter
    assert "no held-out image" in run("compare", "--project", "3")
    assert json.loads(run("compare", "--project", "3", "--json")) is None


@pytest.mark.parametrize("name", ["m", "nothing", "challenger", ""])
def test_a_name_that_is_none_or_several_is_said_so(site, tmp_path, name):
    run("list")
    for each in "ab":
        register(site, tmp_path, each)
    with pytest.raises(ModelNotFound):
        run("show", name)


def test_a_version_travels_in_a_bundle_to_a_site_that_trusts_the_sender(site, tmp_path, monkeypatch):
    run("list")
    version = register(site, tmp_path, "a")
    public = re.search(r"[0-9a-f]{64}", run("keygen", "site.key"))[0]
    assert public in run("export", version, "--key", "site.key")
    monkeypatch.setenv("YOLO_MLSAM_DATA_DIR", str(tmp_path / "other"))
    with pytest.raises(InvalidSettings, match="TRUSTED_KEYS"):
        run("import", f"{version}.mlsam")
    with pytest.raises(InvalidBundle, match=public):
        run("import", f"{version}.mlsam", "--trust", "0" * 64)
    assert "registered" in run("import", f"{version}.mlsam", "--trust", public)
    monkeypatch.setenv("YOLO_MLSAM_TRUSTED_KEYS", public)
    assert version in run("import", f"{version}.mlsam")
    assert f"-> {version}" in run("promote", version, "--reason", "from the university")


def test_gc_says_what_would_go_and_deletes_nothing_unasked(site, tmp_path):
    run("list")
    register(site, tmp_path, "a")
    assert "can be deleted; add --delete to delete them" in run("gc")
    assert "deleted 0 files" in run("gc", "--delete")


def test_gc_keeps_what_settings_and_unfinished_runs_name_and_says_so(site, tmp_path, monkeypatch, capsys):
    run("list")
    runs = Runs(site._engine)
    shadow, pinned, lost = (register(site, tmp_path, name) for name in ("s", "p", "l"))
    states = {"failed": "a", "cancelled": "b", "kept": "c", "queued": "d"}
    of_run = {}
    for project, (state, name) in enumerate(states.items(), 1):
        asked = runs.request(project, recipe="demo", reason="x", trigger="cli")
        of_run[state] = register(site, tmp_path, name, run=asked.run)
        ended = None if state == "queued" else datetime.now(UTC)
        with site._engine.begin() as connection:
            connection.execute(
                sa.text("UPDATE run SET state = :state, ended_at = :ended WHERE id = :id"),
                {"state": state, "ended": ended.isoformat(" ") if ended else None, "id": asked.run},
            )
    monkeypatch.setenv("YOLO_MLSAM_SHADOW", shadow)
    monkeypatch.setenv("YOLO_MLSAM_PROJECT_MODELS", f"3={pinned}, 4={shadow}, 5=m9999-mistyped")
    gc(delete=True, older_than=0)
    said = capsys.readouterr().out
    assert f"{shadow}: kept for YOLO_MLSAM_SHADOW and project 4 in YOLO_MLSAM_PROJECT_MODELS" in said
    assert f"{pinned}: kept for project 3 in YOLO_MLSAM_PROJECT_MODELS" in said
    assert "m9999-mistyped: named by project 5 in YOLO_MLSAM_PROJECT_MODELS, but not in the registry" in said
    gone = {note.version for note in site.notes() if note.kind == "files_removed"}
    assert gone == {lost, of_run["kept"]}
    for version in (shadow, pinned, of_run["failed"], of_run["cancelled"], of_run["queued"]):
        site.files(version, into=tmp_path / "models")


def test_gc_keeps_the_shadow_that_an_alias_names(site, tmp_path, monkeypatch, capsys):
    run("list")
    first, second = (register(site, tmp_path, name) for name in "ab")
    site.name_challenger(second, reason="run")
    monkeypatch.setenv("YOLO_MLSAM_SHADOW", "challenger")
    gc(delete=False, older_than=0)
    said = capsys.readouterr().out
    assert f"{second}: kept for YOLO_MLSAM_SHADOW" in said
    assert f"{first}: never served" in said


@pytest.fixture
def studio(monkeypatch):
    """Label Studio, with a project that has its own label."""
    fake = FakeLabelStudio()
    fake.projects[1] = {"id": 1, "label_config": CONFIG}
    with served(fake) as url:
        monkeypatch.setenv("YOLO_MLSAM_LABEL_STUDIO_URL", url)
        monkeypatch.setenv("YOLO_MLSAM_LABEL_STUDIO_API_KEY", KEY)
        yield fake


def test_a_shadow_is_compared_with_the_champion_on_the_command_line(site, studio, tmp_path):
    starter = re.search(r"starter-\w+", run("list"))[0]
    version = register(site, tmp_path, "a", parent=starter)
    site.name_challenger(version, reason="run")
    store = AnnotationStore(site._engine)
    show(store, square(20, 20, name="c1"), square(200, 20, name="c2"), version=starter, shown=False)
    show(store, square(20, 20, name="c1"), version=version, shown=False)
    assert "no image" in run("shadow", "--project", "1")
    correct(store, square(20, 20, name="c1"), names_version=False, minutes=60 * 24 * 365 * 5)
    store.close()
    told = run("shadow", "--project", "1")
    assert f"1 tasks predicted by both: 1 findings by both, 1 only by {starter}" in told
    assert "without a prelabel" in told
    found = json.loads(run("shadow", "champion", "challenger", "--project", "1", "--json"))
    assert [row["dice"] for row in found["distances"]] == [pytest.approx(2 / 3, abs=0.01), 1.0]
    assert found["versions"] == [starter, version]
    page = tmp_path / "differing.html"
    run("shadow", "--project", "1", "--pictures", str(page))
    text = page.read_text(encoding="utf-8")
    assert starter in text
    assert "no picture" in text, "this Label Studio has no image"
    assert "script" not in text
    assert page.stat().st_mode & 0o777 == 0o600


def test_rows_that_cannot_be_used_are_named_and_break_no_command(site, tmp_path):
    starter = re.search(r"starter-\w+", run("list"))[0]
    version = register(site, tmp_path, "a", parent="[/b]", recipe="[red]\x1b[31m")
    run("promote", version, "--reason", "[/b] \x1b[31m better")
    insert_rows(site._engine)
    make_champion(site._engine, "null-threshold", epoch=3)
    listed = run("list")
    assert listed.count("unusable: ") >= len(ROWS)
    assert "\x1b" not in listed
    history = run("history")
    assert "[/b] ?[31m better" in history
    assert "\x1b" not in history
    for name in ("null-threshold", "nan", "deep", "[/red]", "odd\x1b[31m\n", "../../evil"):
        assert "unusable" in run("show", name)
        assert json.loads(run("show", name, "--json"))["manifest"]["unusable"]
        run("diff", name, starter)
    run("rollback", "--reason", "it cannot be used")
    assert site.champion().version == version
    with pytest.raises(InvalidWeights, match="cannot be used"):
        run("promote", "threshold-7", "--reason", "try")
    with pytest.raises(InvalidWeights, match="are unknown"):
        run("gc")


def test_without_a_registry_the_champion_is_exported_as_the_starter(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("YOLO_MLSAM_DATA_DIR", str(tmp_path / "none"))
    key = re.search(r"[0-9a-f]{64}", run("keygen", "key"))[0]
    assert "starter-" in run("export", "champion", "--key", "key", "--to", "starter.mlsam")
    assert not (tmp_path / "none").exists()
    monkeypatch.setenv("YOLO_MLSAM_DATA_DIR", str(tmp_path / "data"))
    registered = run("import", "starter.mlsam", "--trust", key)
    assert run("list").count("starter-") == 1, "the same that this installation has"
    assert "starter-" in registered


def test_an_export_is_signed_for_us_and_hashed_for_others(site, tmp_path):
    (tmp_path / "key").write_text("no key")
    words = ["models", "export", "champion"]
    unsigned = CliRunner().invoke(app, words)
    assert unsigned.exit_code == 2
    assert "models keygen" in unsigned.output
    signed = CliRunner().invoke(app, [*words, "--format", "openvino", "--key", "key"])
    assert signed.exit_code == 2
    assert "SHA256SUMS" in signed.output
    register(site, tmp_path, "a")
    with pytest.raises(InvalidWeights, match="no self-test on the phantom"):
        run("export", site.versions()[-1], "--format", "openvino")
    assert not list(tmp_path.glob("*.zip"))
