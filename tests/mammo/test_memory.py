import psutil

from mammo.memory import free_memory


def test_what_is_free_is_the_least_of_machine_and_container(tmp_path):
    whole = free_memory(tmp_path)
    assert 0 < whole <= psutil.virtual_memory().total
    (tmp_path / "memory.max").write_text("3000\n")
    (tmp_path / "memory.current").write_text("1000\n")
    assert free_memory(tmp_path) == 2000
    (tmp_path / "memory.current").write_text("4000\n")
    assert free_memory(tmp_path) == 0


def test_a_container_without_a_limit_has_the_machines(tmp_path):
    (tmp_path / "memory.max").write_text("max\n")
    (tmp_path / "memory.current").write_text("1000\n")
    assert free_memory(tmp_path) > 2**20
