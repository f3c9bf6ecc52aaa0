from __future__ import annotations

from pathlib import Path

import pytest

from mammo.errors import MammoError
from mammo.exchange.datasets.contents import boxed, inside, number, read_rows, read_text
from mammo.geometry import Box, Size


@pytest.mark.parametrize(
    "path", ["", " ", "/etc/passwd", "..", "a/../../b", "..\\b", "a\\..\\..\\b", "x\0y", "out/secret", "//x"]
)
def test_no_path_leads_out_of_the_folder(tmp_path: Path, path: str) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (tmp_path / "secret").write_text("secret")
    (folder / "out").symlink_to(tmp_path)
    with pytest.raises(ValueError, match="its path"):
        inside(folder, path)


def test_a_path_of_either_system_is_found_with_the_line_end_that_some_tables_add(tmp_path: Path) -> None:
    assert inside(tmp_path, "a\\b.dcm\n") == tmp_path / "a" / "b.dcm"


def test_rows_come_with_their_lines_and_stripped(tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    table.write_bytes(b'\xef\xbb\xbfid,path,other\r\n1,"a\n",x\r\n2, b ,y\r\n')
    assert list(read_rows(table, ("id", "path"))) == [
        (3, {"id": "1", "path": "a"}),
        (4, {"id": "2", "path": "b"}),
    ]


@pytest.mark.parametrize(
    "content",
    [
        b"id,path,id\n1,a,2\n",
        b"id,path\n1,a,b\n",
        b"id\n1\n",
        b"id,path\n1\n",
        b"id,path\n1,\0\n",
        b'id,path\n1,"' + b"x" * 200_000 + b'"\n',
    ],
)
def test_what_is_no_such_table_is_refused(tmp_path: Path, content: bytes) -> None:
    table = tmp_path / "t.csv"
    table.write_bytes(content)
    with pytest.raises(MammoError) as caught:
        list(read_rows(table, ("id", "path")))
    assert caught.value.code == "invalid_dataset"


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(MammoError, match=r"Info\.txt"):
        read_text(tmp_path / "Info.txt")


@pytest.mark.parametrize("text", ["", "x", "nan", "inf", "1e9", "=1+1"])
def test_a_coordinate_is_a_plausible_number(text: str) -> None:
    with pytest.raises(ValueError, match="coordinate"):
        number(text)


def test_a_box_is_clipped_to_the_image_and_never_outside() -> None:
    assert boxed(-5, 2.4, 4, 7.5, Size(10, 10)).box == Box(0, 2, 4, 8)
    for corners in ((11, 2, 14, 5), (3, 3, 3, 9), (5, 5, 4, 9)):
        with pytest.raises(ValueError, match="box"):
            boxed(*corners, Size(10, 10))
