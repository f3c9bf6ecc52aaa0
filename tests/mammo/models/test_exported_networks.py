import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import openvino
import pytest
from openvino import opset13 as ops

from mammo.models.exported_networks import MAX_STORED, CompiledNetwork, load_exported, release, store_exported


def scaled(factor: float) -> openvino.Model:
    x = ops.parameter([1, -1], np.float32)
    return openvino.Model([ops.multiply(x, ops.constant(np.float32(factor)))], [x], "scaled")


def run(model: openvino.Model, value: float) -> float:
    (out,) = CompiledNetwork(model, precision="f32", threads=1)(np.full((1, 3), value, np.float32))
    return float(out[0, 0])


def test_a_stored_network_computes_the_same_when_read_back(tmp_path):
    store_exported({"a": scaled(2), "b": scaled(3)}, tmp_path / "x" / "first")
    models = load_exported(tmp_path / "x" / "first", ("a", "b"))
    assert models is not None
    assert (run(models["a"], 5), run(models["b"], 5)) == (10, 15)
    assert (tmp_path / "x").stat().st_mode & 0o777 == 0o700


def test_a_folder_with_a_missing_or_torn_network_holds_none(tmp_path):
    store_exported({"a": scaled(2)}, tmp_path / "x")
    assert load_exported(tmp_path / "x", ("a", "b")) is None
    (tmp_path / "x" / "a.xml").write_text("<net")
    assert load_exported(tmp_path / "x", ("a",)) is None
    store_exported({"a": scaled(4)}, tmp_path / "x")
    models = load_exported(tmp_path / "x", ("a",))
    assert models is not None
    assert run(models["a"], 1) == 4


def test_only_so_many_are_kept(tmp_path):
    for number in range(MAX_STORED + 3):
        store_exported({"a": scaled(number)}, tmp_path / f"{number}")
    assert len(list(tmp_path.iterdir())) == MAX_STORED


def test_a_folder_that_cannot_be_written_keeps_nothing(tmp_path: Path):
    (tmp_path / "file").write_text("in the way")
    store_exported({"a": scaled(2)}, tmp_path / "file" / "x")
    assert load_exported(tmp_path / "file" / "x", ("a",)) is None


def test_threads_get_their_own_answers():
    network = CompiledNetwork(scaled(2), precision="f32", threads=1)
    with ThreadPoolExecutor(4) as pool:
        answers = pool.map(lambda n: network(np.full((1, 50), n, np.float32))[0], range(200))
        assert [float(a[0, 0]) for a in answers] == [2 * n for n in range(200)]


def test_openvino_reports_nothing_to_anybody():
    code = (
        "import mammo.models.exported_networks\n"
        "from openvino.tools.ovc import telemetry_utils as t; print(t.tm.__name__)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "openvino.tools.ovc.telemetry_stub"


@pytest.mark.parametrize("part", release().split("."))
def test_a_release_is_numbers(part):
    assert part.isdigit()
