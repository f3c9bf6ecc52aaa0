from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.paper.detector_tables import ATTENTIONS, Table1Plan, table_1
from mammo.geometry import Box
from tests.training.detector_cases import case
from training.cases import silent
from training.detector.recipes import detector_smoke
from training.detector.trainer import AttentionTrainer

CLUSTER_BOX = Box(60, 200, 110, 250)


@pytest.mark.slow
def test_table_1_trains_every_attention_alike_and_goes_on_where_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = replace(detector_smoke(), tile=64, crops=1, background=0.2)
    plan = Table1Plan(
        recipe=recipe,
        seeds=[0],
        train=[case(1, CLUSTER_BOX), case(2, CLUSTER_BOX)],
        validation=[case(3, CLUSTER_BOX)],
        test=[case(4, CLUSTER_BOX), case(5)],
        runtime="torch",
    )
    fractions: list[float] = []
    report = table_1(
        plan, folder=tmp_path, facts={"data": "toy"}, progress=lambda part, _: fractions.append(part)
    )
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(f"{kind}-0" for kind in ATTENTIONS)
    assert fractions == sorted(fractions)
    assert 0 <= fractions[0] <= fractions[-1] <= 1
    paths = report.write(tmp_path / "out", name="table-1")
    text = paths[0].read_text()
    assert all(f"| {kind} |" in text for kind in ATTENTIONS)
    assert "training seeds: 0" in text
    assert set(json.loads(paths[1].read_text())["figures"]) == set(ATTENTIONS)

    monkeypatch.setattr(AttentionTrainer, "train", lambda _: pytest.fail("it was trained already"))
    again = table_1(plan, folder=tmp_path, facts={}, progress=silent)
    assert again.tables[1].rows == report.tables[1].rows
