from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import torch

from mammo.detector import Detector, DetectorNetwork, DetectorSpec, load_network, save_detector
from mammo.detector.transfer import StockWeights, save_stock
from mammo.errors import Cancelled, InvalidWeights
from mammo.geometry import Box
from tests.mammo.detector.checkpoints import stock_network
from tests.training.detector_cases import case
from training.cases import Progress, silent
from training.detector.box_loss import BoxLoss, DetectorLoss
from training.detector.finetune import finetune_detector
from training.detector.recipes import detector_smoke
from training.detector.start import prepare

CASES = [case(1, Box(60, 200, 110, 250)), case(3)]
RECIPE = replace(detector_smoke(), tile=96, background=0.2)
PAPER = BoxLoss(kind="paper", alpha=2.0, beta=0.5)


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def public(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("public") / "yolov8n.safetensors"
    facts = {"name": "yolov8n", "licence": "AGPL-3.0", "sha256": "ab" * 32}
    tensors = stock_network().half().float().state_dict()
    save_stock(path, StockWeights(architecture="yolov8n", tensors=tensors, facts=facts))
    return path


def detector(path: Path, **facts: Any) -> Path:
    save_detector(path, DetectorNetwork(DetectorSpec(tile=128, overlap=32)), facts=facts)
    return path


def train(folder: Path, start: Path | None, rule: BoxLoss | None, progress: Progress = silent) -> Path:
    recipe = replace(RECIPE, box_loss=rule, epochs=2)
    return finetune_detector(CASES, [], start=start, recipe=recipe, folder=folder, progress=progress)


def test_public_weights_fill_the_network_that_the_recipe_wants_with_open_gates(public: Path) -> None:
    spec = replace(RECIPE.spec, attention="eca", after=(2, 4, 6))
    begin = prepare(public, replace(RECIPE, spec=spec))
    assert begin.detector is None
    assert begin.network.spec == replace(spec, class_width=80)
    assert begin.facts["transfer"]["copied"] == 349
    assert begin.facts["public_weights"]["licence"] == "AGPL-3.0"
    assert begin.facts["start"] == "public"
    assert begin.network.model[6].attn.conv.bias.item() == 4.0
    first = begin.network.state_dict()["model.0.conv.weight"]
    assert torch.equal(first, stock_network().half().float().state_dict()["model.0.conv.weight"])


def test_a_run_on_public_weights_ends_with_a_detector_that_remembers_them(
    public: Path, tmp_path: Path
) -> None:
    weights = train(tmp_path / "a", public, None)
    found = Detector.load(weights, runtime="torch")
    assert found.spec.class_width == 80
    assert found.facts["transfer"]["copied"] == 349
    assert found.facts["from_scratch"] is False
    again = prepare(weights, RECIPE)
    assert again.detector == weights
    assert again.facts["public_weights"]["sha256"] == "ab" * 32


def test_public_weights_of_another_scale_are_refused(public: Path) -> None:
    with pytest.raises(InvalidWeights, match="use yolov8s weights, or a recipe of scale n"):
        prepare(public, replace(RECIPE, spec=replace(RECIPE.spec, scale="s")))


def test_public_weights_cannot_serve(public: Path) -> None:
    with pytest.raises(InvalidWeights, match="cannot detect clusters; use them to start a training run"):
        Detector.load(public)


def test_the_box_loss_is_kept_by_save_stop_resume_and_fine_tune(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    used: list[BoxLoss] = []
    make = DetectorLoss.__init__

    def recorded(self: DetectorLoss, network: Any, *, rule: BoxLoss) -> None:
        used.append(rule)
        make(self, network, rule=rule)

    monkeypatch.setattr(DetectorLoss, "__init__", recorded)

    def stop(fraction: float, message: str) -> None:
        if message.startswith("detector: epoch 2"):
            raise Cancelled("in the second epoch")

    with pytest.raises(Cancelled):
        train(tmp_path / "run", None, PAPER, stop)
    num_before = len(used)
    weights = train(tmp_path / "run", None, PAPER)
    assert len(used) > num_before > 0
    assert load_network(weights)[1]["box_loss"] == asdict(PAPER)
    tuned = train(tmp_path / "tuned", weights, None)
    assert set(used) == {PAPER}
    assert load_network(tuned)[1]["box_loss"] == asdict(PAPER)
    other = prepare(weights, replace(RECIPE, box_loss=BoxLoss(kind="siou")))
    assert other.network.rule.kind == "siou"


def test_weights_that_do_not_say_continue_with_ciou_and_those_that_say_nonsense_are_refused(
    tmp_path: Path,
) -> None:
    assert prepare(detector(tmp_path / "a.safetensors"), RECIPE).network.rule == BoxLoss()
    older = detector(tmp_path / "b.safetensors", recipe={"box_loss": {"kind": "siou"}})
    assert prepare(older, RECIPE).network.rule.kind == "siou"
    strange = detector(tmp_path / "c.safetensors", box_loss={"kind": "giou"})
    with pytest.raises(InvalidWeights, match=r"c\.safetensors: .*'giou'.*ciou, paper or siou"):
        prepare(strange, RECIPE)


@pytest.mark.parametrize("bad", [{"alpha": -1.0}, {"beta": float("nan")}])
def test_a_weight_that_is_no_weight_is_the_callers_mistake(bad: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="not negative"):
        BoxLoss(kind="paper", **bad)
