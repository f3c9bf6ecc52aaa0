import json

import pytest

from mammo.errors import StorageUnavailable
from mammo.verdicts.record import read_record
from tests.mammo.verdicts.records import found, image, lesion, record


def test_a_record_is_read_back_as_it_was_written():
    made = record(image((lesion(5, 5),), (found(5, 5, lesion=0, dice=0.5),), (found(50, 50),)))
    assert read_record(made.to_bytes()) == made


def test_a_record_of_the_release_before_is_read():
    content = json.loads(record(image()).to_bytes()) | {"format": 1}
    del content["images"][0]["part"]
    assert read_record(json.dumps(content).encode()).images == record(image()).images


@pytest.mark.parametrize("number", [0, 3, "1", None])
def test_a_record_of_another_format_is_refused_by_its_number(number):
    content = json.loads(record().to_bytes()) | {"format": number}
    with pytest.raises(StorageUnavailable, match="this release reads formats 1 and 2") as refused:
        read_record(json.dumps(content).encode())
    assert refused.value.code == "verdict_format"


@pytest.mark.parametrize(
    "change", [{"more": 1}, {"images": [{}]}, {"promote": "yes"}, {"champion": None}, {"project": 1.5}]
)
def test_a_record_with_fields_that_are_not_understood_is_refused(change):
    content = json.loads(record().to_bytes()) | change
    with pytest.raises(StorageUnavailable, match="cannot be read") as refused:
        read_record(json.dumps(content).encode())
    assert refused.value.code == "damaged_verdict"


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b"\xff"])
def test_what_is_no_record_is_refused(content):
    with pytest.raises(StorageUnavailable):
        read_record(content)
