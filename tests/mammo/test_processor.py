from pathlib import Path

from mammo.processor import BFLOAT16, instruction_sets


def test_only_flags_that_decide_numbers_are_stated_in_a_fixed_order(tmp_path: Path) -> None:
    file = tmp_path / "cpuinfo"
    file.write_text("processor\t: 0\nflags\t\t: fpu avx512_bf16 sse avx2\nbugs\t: none\n")
    assert instruction_sets(file)[1:] == ("avx2", "avx512_bf16")
    assert not BFLOAT16.isdisjoint(instruction_sets(file))


def test_a_machine_that_does_not_say_has_an_architecture_only(tmp_path: Path) -> None:
    assert len(instruction_sets(tmp_path / "missing")) == 1
