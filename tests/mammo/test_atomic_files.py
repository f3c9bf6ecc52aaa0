import stat
import threading

import pytest

from mammo.atomic_files import replacing


@pytest.mark.parametrize("durable", [False, True])
def test_a_file_takes_the_place_of_the_old_one_when_it_is_whole(tmp_path, durable):
    path = tmp_path / "index.json"
    path.write_text("old")
    with replacing(path, durable=durable) as part:
        part.write_text("ne")
        assert path.read_text() == "old"
        part.write_text("new")
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt])
def test_a_writer_that_fails_leaves_the_old_file_and_nothing_else(tmp_path, shared, error):
    path = tmp_path / "index.json"
    path.write_text("old")

    def fail():
        with replacing(path, shared=shared) as part:
            part.write_text("half")
            raise error

    with pytest.raises(error):
        fail()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_what_a_killed_writer_left_is_written_over(tmp_path):
    path = tmp_path / "index.json"
    with replacing(path) as part:
        name = part
        part.write_text("first")
    name.write_text("left behind, and longer than the next")
    name.chmod(0o400)
    with replacing(path) as part:
        part.write_text("second")
    assert path.read_text() == "second"
    assert list(tmp_path.iterdir()) == [path]


def test_the_new_file_has_the_mode_that_was_asked_for(tmp_path):
    path = tmp_path / "region"
    path.write_text("old")
    with replacing(path, mode=0o600) as part:
        part.write_text("new")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with replacing(tmp_path / "open") as part:
        part.write_text("new")
    plain = tmp_path / "plain"
    plain.write_text("a file as Python opens it")
    assert (tmp_path / "open").stat().st_mode == plain.stat().st_mode


def test_writers_of_one_shared_file_do_not_meet(tmp_path):
    path, rounds = tmp_path / "twin.png", 50
    contents = [bytes([number]) * 100_000 for number in range(4)]

    def write(content):
        for _ in range(rounds):
            with replacing(path, shared=True) as part:
                part.write_bytes(content)
            assert path.read_bytes() in contents

    failures = []

    def attempt(content):
        try:
            write(content)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=attempt, args=(content,)) for content in contents]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert list(tmp_path.iterdir()) == [path]
