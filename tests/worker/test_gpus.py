"""GPUs are those that nvidia-smi lists; a machine whose driver is broken is not taken for one without a GPU."""

import pytest

from mammo.errors import InvalidSettings
from worker.gpus import ORDER, VISIBLE, select_gpus

TWO_CARDS = """GPU 0: NVIDIA H100 80GB HBM3 (UUID: GPU-5c89852c-d268-c3f3-1b07-005d5ae1dc3f)
GPU 1: NVIDIA H100 80GB HBM3 (UUID: GPU-b7f1a1c2-0000-1111-2222-333344445555)
"""
SLICED = """GPU 0: NVIDIA A100-PCIE-40GB (UUID: GPU-48aeb943-9458-4282-da24-e5f49e0db44b)
  MIG 3g.20gb     Device  0: (UUID: MIG-1c2c4ab8-1111-2222-3333-444455556666)
  MIG 1g.5gb      Device  1: (UUID: MIG-77777777-1111-2222-3333-444455556666)
GPU 1: NVIDIA A100-PCIE-40GB (UUID: GPU-00000000-9458-4282-da24-e5f49e0db44b)
"""


@pytest.fixture
def machine(tmp_path):
    """Asks a machine whose nvidia-smi, if there is one, says this and ends so."""

    def ask(asked="auto", *, says=None, code=0, cards=(), **environment):
        programs, devices = tmp_path / "bin", tmp_path / "dev"
        for folder in (programs, devices):
            folder.mkdir()
        for name in (*cards, "null"):
            (devices / name).touch()
        if says is not None:
            program = programs / "nvidia-smi"
            program.write_text(f"#!/bin/sh\n[ $1 = -L ] || exit 99\ncat <<'END'\n{says}END\nexit {code}\n")
            program.chmod(0o755)
        # `cat` is found besides; a real nvidia-smi is not.
        path = f"{programs}:{tmp_path / 'tools'}"
        (tmp_path / "tools").mkdir()
        (tmp_path / "tools/cat").symlink_to("/bin/cat")
        return select_gpus(asked, environment={"PATH": path, **environment}, devices=devices)

    return ask


def test_every_card_is_seen_by_its_uuid_alone(machine):
    first, second = machine(says=TWO_CARDS)
    assert (first.label, second.label) == ("gpu0", "gpu1")
    assert first.variables == {VISIBLE: "GPU-5c89852c-d268-c3f3-1b07-005d5ae1dc3f"}


def test_slices_stand_for_the_card_that_was_cut(machine):
    found = machine(says=SLICED)
    assert [gpu.label for gpu in found] == ["gpu0.0", "gpu0.1", "gpu1"]
    assert found[0].variables[VISIBLE].startswith("MIG-1c2c")


def test_a_machine_without_driver_and_card_has_none(machine):
    assert machine() == []


def test_a_card_without_nvidia_smi_is_not_passed_over(machine):
    with pytest.raises(InvalidSettings, match=r"nvidia0 in .*no nvidia-smi.*--gpus none"):
        machine(cards=("nvidia0", "nvidiactl"))


@pytest.mark.parametrize(
    ("says", "code"),
    [
        ("NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver.\n", 9),
        ("No devices were found\n", 0),
    ],
)
def test_a_driver_that_fails_is_said_in_its_own_words(machine, says, code):
    with pytest.raises(InvalidSettings, match=says.strip()):
        machine(says=says, code=code)


def test_what_a_batch_system_gave_is_all_that_is_used(machine):
    found = machine(says=TWO_CARDS, **{VISIBLE: "3,5"})
    assert [gpu.variables for gpu in found] == [{VISIBLE: "3"}, {VISIBLE: "5"}]


@pytest.mark.parametrize("nothing", ["", "-1"])
def test_a_batch_system_that_gave_none_is_believed(machine, nothing):
    assert machine(says=TWO_CARDS, **{VISIBLE: nothing}) == []


def test_numbers_that_a_person_gives_are_those_of_nvidia_smi(machine):
    assert machine("1", says=TWO_CARDS)[0].variables == {VISIBLE: "1", ORDER: "PCI_BUS_ID"}


def test_none_is_none(machine):
    assert machine("none", says=TWO_CARDS) == []


@pytest.mark.parametrize("wrong", ["", "all", "0,0", "0,,1", "-1"])
def test_anything_else_is_refused(machine, wrong):
    with pytest.raises(InvalidSettings, match="auto, none"):
        machine(wrong)
