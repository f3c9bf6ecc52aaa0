from __future__ import annotations

from pathlib import PurePosixPath
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mammo.exchange.export.file_names import FileNames, path_of, safe_path, without_secrets


@pytest.mark.parametrize(
    ("reference", "path"),
    [
        ("/data/local-files/?d=a%20b/c.png", "a b/c.png"),
        ("/data/local-files/?d=f%C3%BCr/%E5%B1%B1.png", "für/山.png"),
        ("/data/upload/3/1a2b3c4d-c%20d.png", "upload/3/1a2b3c4d-c d.png"),
        ("s3://bucket/a/c.png", "bucket/a/c.png"),
        ("https://user:pw@host/a/c.png?X-Amz-Signature=abc", "host/a/c.png"),
        ("/data/local-files/?d=../../etc/passwd", "etc/passwd"),
        ("/data/local-files/?d=%2e%2e%2fsecret.png", "secret.png"),
        ("a\\..\\b.png", "a/b.png"),
        ("/data/local-files/?d=", ""),
        ("", ""),
    ],
)
def test_an_address_becomes_a_decoded_path_with_its_folders(reference: str, path: str) -> None:
    assert path_of(reference) == path


def test_a_signature_or_a_password_is_not_written_down() -> None:
    assert without_secrets("https://u:pw@host/a.png?sig=secret") == "https://host/a.png"
    assert without_secrets("/data/local-files/?d=a.png") == "/data/local-files/?d=a.png"


def test_equal_names_in_two_folders_stay_apart_and_lead_back() -> None:
    names = FileNames()
    assert [names(path) for path in ("a/x.png", "b/x.png", "b/x.dcm", "B/X.PNG", "x.y.png")] == [
        "a/x", "b/x", "b/x-2", "B/X-3", "x.y",
    ]  # fmt: skip


@given(st.lists(st.text(max_size=40), max_size=8))
def test_names_are_unique_and_lead_nowhere_else(paths: list[str]) -> None:
    names = FileNames()
    assigned = [names(path) for path in paths]
    assert len({name.casefold() for name in assigned}) == len(assigned)
    for name in assigned:
        parts = PurePosixPath(name).parts
        assert parts
        assert not PurePosixPath(name).is_absolute()
        assert not {"..", ".", ""} & set(parts)
        assert name.isprintable()


SAFE = st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=12)


@given(st.lists(SAFE, min_size=1, max_size=4))
def test_every_harmless_path_comes_back_from_its_address(parts: list[str]) -> None:
    path = "/".join(parts) + ".png"
    assert safe_path(path) == path
    assert path_of(f"/data/local-files/?d={quote(path)}") == path
    assert path_of(f"s3://bucket/{quote(path)}") == f"bucket/{path}"
