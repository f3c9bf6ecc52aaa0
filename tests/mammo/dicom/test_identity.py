from __future__ import annotations

import unicodedata
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from pydicom.dataset import Dataset

from mammo.dicom import read_intake
from mammo.dicom.identity import NOT_NAMES, identifiers, identifying, is_pseudonym, mentions
from tests.mammo.dicom.files import with_elements


def dataset(**elements: Any) -> Dataset:
    patient = Dataset()
    for keyword, value in elements.items():
        setattr(patient, keyword, value)
    return patient


@pytest.mark.parametrize(
    ("elements", "named"),
    [
        ({"PatientName": "DOE^JANE"}, ("PatientName",)),
        ({"PatientID": "4711"}, ("PatientID",)),
        ({"PatientBirthDate": "19560304"}, ("PatientBirthDate",)),
        ({"PatientName": "M\u00fcller^Eva", "PatientID": "1"}, ("PatientName", "PatientID")),
        ({"PatientName": "DOE^JANE", "PatientIdentityRemoved": "NO"}, ("PatientName",)),
    ],
)
def test_a_name_a_number_or_a_birth_date_identifies(elements: dict[str, Any], named: tuple[str, ...]) -> None:
    assert identifying(dataset(**elements)) == named


@pytest.mark.parametrize(
    "elements",
    [
        {},
        {"PatientName": "", "PatientID": "", "PatientBirthDate": ""},
        {"PatientName": "ANONYMOUS", "PatientID": "ANON-0007"},
        {"PatientName": "^", "PatientID": "XXX", "PatientBirthDate": "19000101"},
        {"PatientName": "DOE^JANE", "PatientID": "4711", "PatientIdentityRemoved": "YES"},
    ],
)
def test_a_file_without_them_or_that_says_they_were_removed_does_not(elements: dict[str, Any]) -> None:
    assert identifying(dataset(**elements)) == ()


@pytest.mark.parametrize(
    "value",
    [
        "ANON", "ANON0001", "ANON-0007", "ANON-7fab31", "anon_12^anon", "Anonymous", "ANONYMOUS^PATIENT", "anonymized",
        "AnonPatient", "Test^Patient", "TEST PATIENT 7", "TESTCASE1", "De-Identified", "PHANTOM-1", "XXXX^XXXX", "^",
        "", "Unknown", "ANON^F", "Pseudonym 5", "Removed", "synthetic 0001", "\uff21\uff2e\uff2f\uff2e", "匿名",
    ],
)  # fmt: skip
def test_what_people_write_where_a_name_was_is_a_pseudonym(value: str) -> None:
    assert is_pseudonym(value)


@pytest.mark.parametrize(
    "value",
    [
        "DUPONT^MANON", "CANONICO^LUISA", "CANON^PIERRE", "LEBANON", "Manon", "NAMPA^ANON", "UNKNOWN^JANE", "PHANTOMAS",
        "Anon^Smith", "MANON1", "CANON123", "4711", "P0001", "X1", "7fab31", "TEST", "PATIENT", "王^伟",
        "Wang^Wei=王^伟",
    ],
)  # fmt: skip
def test_a_name_that_holds_the_letters_of_a_pseudonym_is_a_name(value: str) -> None:
    assert not is_pseudonym(value)


def named_in(path: str, name: str = "", number: str = "", birth: str = "") -> bool:
    patient = dataset(PatientName=name, PatientID=number, PatientBirthDate=birth)
    patient.SpecificCharacterSet = "ISO_IR 192"
    return mentions(path, identifiers(patient))


def mac(text: str) -> str:
    """As a Mac writes file names."""
    return unicodedata.normalize("NFD", text)


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("Müller^Jana", "MÜLLER/1.dcm"), ("Müller^Jana", mac("Müller/1.dcm")), ("Müller^Jana", "mueller/1.dcm"),
        ("Mueller^Jana", "Müller/1.dcm"), ("Müller^Jana", "Muller_1.dcm"), ("Müller^Jana", "MuellerJana/1.dcm"),
        ("Müller^Jana", "jana-mueller.dcm"), ("Müller^Jana", "\uff2d\uff35\uff2c\uff2c\uff25\uff32/1.dcm"),
        ("Straße^Max", "STRASSE/1.dcm"), ("Nguyễn^Ái", "nguyen/1.dcm"), ("Łukasz^Nowak", "lukasz.dcm"),
        ("O'Brien^Ann", "obrien/1.dcm"), ("Garcia Lopez^Maria Jose", "lopez/1.dcm"), ("van der Berg^Jan", "berg/1.dcm"),
        ("DOE, JANE", "doe1.dcm"), ("Doe^Jo", "DoeJo.dcm"), ("Doe^Jo", "doejo.dcm"), ("Ng", "ng/1.dcm"),
        ("Li^Na", "Li_Na/1.dcm"), ("Li^Na", "na-li/1.dcm"), ("Li^Na", "LiNa/1.dcm"), ("Li^Na", "lina/1.dcm"),
        ("Li^Na", "Li/Na/1.dcm"), ("Li^Na", "\u202eLi_Na/1.dcm"),
        ("Wang^Wei=王^伟", "王伟/1.dcm"), ("Wang^Wei=王^伟", "王_伟/1.dcm"), ("Wang^Wei=王^伟", "患者王伟/1.dcm"),
        ("Wang^Wei=王^伟", "王/1.dcm"), ("Wang^Wei=王^伟", "WangWei/1.dcm"), ("王伟", "王伟/1.dcm"),
        ("Yamada^Tarou=山田^太郎", "山田太郎/1.dcm"), ("Yamada^Tarou=山田^太郎=やまだ^たろう", "ヤマダ/1.dcm"),
        ("Yamada^Tarou=山田^太郎=ﾔﾏﾀﾞ^ﾀﾛｳ", mac("ヤマダ/1.dcm")),
        ("Kim^Cheolsu=김^철수", "김철수/1.dcm"), ("Kim^Cheolsu=김^철수", mac("김철수/1.dcm")),
        ("Иванова^Мария", "ИВАНОВА/1.dcm"), ("Χρήστου^Ελένη", "ΧΡΗΣΤΟΥ/1.dcm"), ("नीता^शर्मा", "शर्मा/1.dcm"),
        ("علي^محمد", "محمد/1.dcm"),
    ],
)  # fmt: skip
def test_a_name_is_found_in_a_path_in_any_script_and_form(name: str, path: str) -> None:
    assert named_in(path, name)


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("Li^Na", "li/1.dcm"), ("Li^Na", "re_li_cc.dcm"), ("Li^Na", "linear/nation/1.dcm"), ("A^B", "a/b/1.dcm"),
        ("J^D", "j_d.dcm"), ("Doe^J", "does/1.dcm"), ("Doe^Jo", "jo/1.dcm"), ("Ana^Bo", "banana/1.dcm"),
        ("Wang^Wei=王^伟", "王府井/1.dcm"), ("Doe^Jane^^Dr", "dr/1.dcm"), ("von der Heide^Ute", "von/der/1.dcm"),
        ("Anon^Patient", "patient/anon/1.dcm"), ("Test^Left", "test/left/1.dcm"), ("^", "a/1.dcm"), ("", "1.dcm"),
    ],
)  # fmt: skip
def test_a_piece_of_a_name_that_is_in_every_path_is_no_name(name: str, path: str) -> None:
    assert not named_in(path, name)


def test_a_name_in_utf_8_that_its_file_calls_latin_is_found() -> None:
    assert named_in("Müller/1.dcm", "Müller^Jana".encode().decode("latin-1"))


@pytest.mark.parametrize(
    ("number", "birth", "path", "there"),
    [
        ("12345", "", "12345/1.dcm", True), ("12345", "", "0012345.dcm", True), ("12345", "", "9123456.dcm", False),
        ("4711", "", "4711.dcm", True), ("4711", "", "1.2.47110.dcm", False), ("12", "", "12/1.dcm", False),
        ("P-12/7", "", "p_12_7.dcm", True), ("PID-90817", "", "xpid-90817y.dcm", True),
        ("ANON1", "", "ANON1/1.dcm", False), ("\uff11\uff12\uff13\uff14\uff15", "", "12345.dcm", True),
        ("", "19500102", "1950-01-02/1.dcm", True), ("", "19500102", "02.01.1950.dcm", True),
        ("", "19500102", "01021950_x.dcm", True), ("", "19500102", "119500102.dcm", False),
        ("", "19000101", "19000101/1.dcm", False),
    ],
)  # fmt: skip
def test_a_number_is_found_whole_and_a_birth_date_in_any_order(
    number: str, birth: str, path: str, there: bool
) -> None:
    assert named_in(path, number=number, birth=birth) is there


@given(st.text(st.characters(categories=["Lu", "Ll", "Lo"]), min_size=5, max_size=12), st.text(max_size=9))
def test_a_folder_of_the_name_is_found_however_unicode_writes_it(family: str, more: str) -> None:
    assume(not is_pseudonym(family) and not NOT_NAMES.fullmatch(family.casefold()))
    for form in ("NFC", "NFD", "NFKC", "NFKD"):
        assert named_in(f"{more}/{unicodedata.normalize(form, family)}/1.dcm", f"{family}^X")


def test_an_import_looks_at_the_path_and_at_the_name() -> None:
    data = with_elements(
        SpecificCharacterSet="ISO_IR 192",
        PatientName="Dupont^Manon=王^伟",
        PatientID="ANON1",
        PatientIdentityRemoved=None,
    )
    intake = read_intake(data, path="王伟/1.dcm", patient_secret=b"s" * 16)
    assert intake.named_in_path
    assert intake.identifying == ("PatientName",)
    assert not read_intake(data, path="ANON1/1.dcm", patient_secret=b"s" * 16).named_in_path
