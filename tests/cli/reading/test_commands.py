from dataclasses import replace

import pytest
from rich.console import Console
from typer.testing import CliRunner

from cli.__main__ import app
from cli.reading.showing import print_descriptors
from mammo.database import open_database
from mammo.errors import InvalidSettings, UnknownReading
from mammo.readings import ReadingRecords, ReadingRules
from mammo.readings.agreement import compare
from mammo.readings.descriptor_agreement import descriptor_agreements
from mammo.settings import Settings
from tests.mammo.readings.drawing import lesion


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.setenv("YOLO_MLSAM_DATA_DIR", str(tmp_path))
    for name in ("URL", "API_KEY"):
        monkeypatch.delenv(f"YOLO_MLSAM_LABEL_STUDIO_{name}", raising=False)
    return lambda *arguments: CliRunner().invoke(app, ["reading", *arguments])


def test_rules_are_shown_and_changed_and_projects_are_listed(run):
    assert run("list").exception.code == "no_database"
    engine = open_database(Settings.load().database)
    assert run("list").output.startswith("no project has a double reading; ")
    ReadingRecords(engine).create(5, rules=ReadingRules(), users={})
    engine.dispose()
    assert "least_dice: 0.7\n" in run("rules", "--project", "5").output
    assert "least_dice: 0.8\n" in run("rules", "--project", "5", "--least-dice", "0.8").output
    assert "least_dice: 0.8\n" in run("rules", "--project", "5").output
    assert run("list").output.startswith("project 5")


def test_what_cannot_be_is_refused(run):
    open_database(Settings.load().database).dispose()
    assert isinstance(run("rules", "--project", "9").exception, UnknownReading)
    assert isinstance(run("sync", "--project", "9").exception, InvalidSettings)
    assert run("create", "--project", "9", "--consensus", "majority").exit_code == 2


def test_words_are_printed_with_kappa_and_the_most_frequent_differences(capsys):
    def compared(first, second):
        drawn = [replace(lesion(10, 10, 30, 30), morphology=word) for word in (first, second)]
        return compare(drawn[:1], drawn[1:], rules=ReadingRules(), spacing=None)

    pairs = [("amorphous", "amorphous"), ("fine pleomorphic", "amorphous"), ("fine pleomorphic",) * 2] * 4
    agreements = descriptor_agreements([(f"p{n}", compared(*pair)) for n, pair in enumerate(pairs)])
    print_descriptors(agreements, Console(width=120))
    shown = capsys.readouterr().out
    assert "0.400 (" in shown, "p_o = 2/3, p_e = 4/9"
    assert "morphology: 4 x reader 1 fine pleomorphic, reader 2 amorphous" in shown
    print_descriptors((), Console())
    assert capsys.readouterr().out == ""
