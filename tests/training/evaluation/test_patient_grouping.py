from __future__ import annotations

from pathlib import Path

import pytest

from mammo.errors import InvalidSettings, MammoError
from training.evaluation.patient_grouping import PatientGrouping


def patients(rule: str, *names: str, stated: str = "") -> list[str]:
    grouping = PatientGrouping.parse(rule)
    return [grouping.of(name, stated=stated, path=Path("folder") / name) for name in names]


def test_every_file_is_a_patient_unless_the_data_set_names_one() -> None:
    assert len(set(patients("file", "a.png", "b.png"))) == 2
    assert patients("file", "a.png", stated="p7") == ["p7"]


def test_images_2k_plus_1_and_2k_plus_2_of_mini_mias_are_one_woman() -> None:
    one, two, three = patients("mias", "mdb209.pgm", "films/mdb210.png", "mdb211.pgm")
    assert one == two != three
    with pytest.raises(InvalidSettings, match=r"names like mdb209\.pgm"):
        patients("mias", "p1_lcc.png")


def test_a_table_names_the_patients_by_path_or_by_name(tmp_path: Path) -> None:
    table = tmp_path / "patients.csv"
    table.write_text("file,patient\na/1.png,P1\n2.png, P1 \nc\\3.png,P2\n")
    assert patients(str(table), "a/1.png", "b/2.png", "c/3.png") == ["P1", "P1", "P2"]
    assert PatientGrouping.parse(str(table)).sentence.endswith("patients.csv")
    with pytest.raises(InvalidSettings, match="no row in"):
        patients(str(table), "4.png")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("name,patient\na.png,P1\n", "file"),
        ("file,patient\na.png,\n", "line 2: the patient is missing"),
        ("file,patient\na.png,P1\na.png,P2\n", "another patient"),
    ],
)
def test_a_table_that_is_wrong_is_refused(tmp_path: Path, content: str, message: str) -> None:
    table = tmp_path / "patients.csv"
    table.write_text(content)
    with pytest.raises(MammoError, match=message):
        PatientGrouping.parse(str(table))


def test_an_unknown_rule_is_refused() -> None:
    with pytest.raises(InvalidSettings, match="file, mias or a CSV file"):
        PatientGrouping.parse("exam")
