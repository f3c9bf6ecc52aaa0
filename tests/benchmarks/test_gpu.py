"""The script for a machine with a GPU runs from end to end, in the sizes that a CPU does in seconds."""

from __future__ import annotations

import pytest
import torch

from benchmarks.gpu import SMALL, measured, run


@pytest.mark.slow
def test_every_row_is_measured_on_a_cpu_too() -> None:
    rows = {name: rate for name, rate, _ in measured(torch.device("cpu"), SMALL).rows}
    assert len(rows) == 8
    assert rows.pop("processes that join by gloo") == "2, sums agree"
    assert all(float(rate.split()[0]) > 0 for rate in rows.values())


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_without_a_gpu_nothing_is_measured_and_that_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert run() == []
    assert "no GPU" in capsys.readouterr().err
