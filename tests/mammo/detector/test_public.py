from __future__ import annotations

import os
import warnings
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn

from mammo.blobs import hash_file
from mammo.detector import public
from mammo.detector.public import convert, read_checkpoint
from mammo.detector.transfer import load_stock
from mammo.errors import InvalidWeights
from tests.mammo.detector.checkpoints import renamed_globals, save_official, stock_network

# isort: split
from ultralytics.utils import DEFAULT_CFG_DICT, IterableSimpleNamespace


@pytest.fixture(scope="module")
def network() -> Any:
    torch.set_num_threads(1)
    return stock_network()


@pytest.fixture(scope="module")
def official(network: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_official(network, tmp_path_factory.mktemp("official") / "yolov8n.pt")


def same_as(network: Any, tensors: dict[str, torch.Tensor]) -> None:
    expected = network.state_dict()
    assert list(tensors) == list(expected)
    for name, tensor in tensors.items():
        stock = expected[name]
        assert torch.equal(tensor, stock.half().float() if stock.is_floating_point() else stock), name


def test_every_tensor_of_an_official_checkpoint_is_read_bit_for_bit(network: Any, official: Path) -> None:
    same_as(network, read_checkpoint(official))


def test_averaged_weights_go_before_the_last_ones(network: Any, tmp_path: Path) -> None:
    averaged = stock_network(seed=7)
    path = save_official(network, tmp_path / "a.pt", ema=averaged.half())
    same_as(averaged, read_checkpoint(path))


def test_a_checkpoint_of_an_old_release_with_its_loss_inside_is_read_too(tmp_path: Path) -> None:
    network = stock_network()
    network.args = IterableSimpleNamespace(**DEFAULT_CFG_DICT)
    network.criterion = network.init_criterion()
    path = save_official(network, tmp_path / "new.pt", train_args={"data": Path("coco.yaml")})
    old = renamed_globals(
        path,
        tmp_path / "old.pt",
        {
            "ultralytics.nn.modules.conv\nConv": "ultralytics.nn.modules\nConv",
            "ultralytics.nn.modules.head\nDetect": "ultralytics.nn.modules\nDetect",
            "ultralytics.utils\nIterableSimpleNamespace": "ultralytics.yolo.utils\nIterableSimpleNamespace",
            "ultralytics.utils.loss\nv8DetectionLoss": "ultralytics.yolo.utils.loss\nv8DetectionLoss",
        },
    )
    same_as(network, read_checkpoint(old))


class Attack:
    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> Any:
        return self.call


@pytest.mark.parametrize("where", ["model", "train_args", "inside"])
@pytest.mark.parametrize("function", [os.system, eval, exec, getattr, __import__])
def test_a_pickle_that_would_run_code_is_refused_and_nothing_is_run(
    tmp_path: Path, where: str, function: Any
) -> None:
    trace = tmp_path / "trace"
    arguments: dict[Any, tuple[Any, ...]] = {
        os.system: (f"touch {trace}",),
        eval: (f"open({str(trace)!r}, 'w')",),
        exec: (f"open({str(trace)!r}, 'w')",),
        getattr: ({}, "keys"),
        __import__: ("antigravity",),
    }
    attack = Attack(function, *arguments[function])
    module = nn.Sequential(nn.Conv2d(1, 1, 1))
    module.hidden = attack
    content = {"model": module} if where == "inside" else {"model": nn.Sequential(), where: attack}
    path = tmp_path / "evil.pt"
    torch.save(content, path)
    with pytest.raises(
        InvalidWeights, match=r"the pickle names \w+\.\w+, which weights do not need"
    ) as refused:
        read_checkpoint(path)
    assert refused.value.code == "unsafe_pickle"
    assert not trace.exists()


def test_a_class_that_is_allowed_by_name_is_never_the_real_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pickle may call an allowed class with any argument, and set any state: it reaches an inert object."""
    called = []
    monkeypatch.setattr(nn.Conv2d, "__init__", lambda *a, **k: called.append(a))
    monkeypatch.setattr(nn.Module, "__setstate__", lambda *a: called.append(a))
    module = nn.Sequential()
    module._modules["x"] = Attack(nn.Conv2d, 10**9, 10**9, 10**9)  # type: ignore[assignment]
    path = tmp_path / "evil.pt"
    torch.save({"model": module}, path)
    assert read_checkpoint(path) == {}
    assert called == []


def test_what_is_allowed_for_one_file_is_forgotten_after_it(official: Path) -> None:
    before = set(map(str, torch.serialization.get_safe_globals()))
    read_checkpoint(official)
    assert set(map(str, torch.serialization.get_safe_globals())) == before


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 torn", b"\x80\x02cos\nsystem\n", b"GIF89a"])
def test_a_torn_or_foreign_file_is_named_not_a_traceback(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "bad.pt"
    path.write_bytes(content)
    with pytest.raises(InvalidWeights, match=r"bad\.pt"):
        read_checkpoint(path)


def test_a_truncated_checkpoint_and_one_without_a_network_are_refused(official: Path, tmp_path: Path) -> None:
    torn = tmp_path / "torn.pt"
    torn.write_bytes(official.read_bytes()[:-5000])
    with pytest.raises(InvalidWeights):
        read_checkpoint(torn)
    torch.save({"state_dict": {"a": torch.zeros(1)}}, torn)
    with pytest.raises(InvalidWeights, match="no network under"):
        read_checkpoint(torn)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    places=st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), min_size=1, max_size=4),
    in_pickle=st.booleans(),
)
def test_a_damaged_checkpoint_is_refused_or_gives_tensors_and_nothing_else_happens(
    places: list[tuple[int, int]], in_pickle: bool, tmp_path: Path
) -> None:
    small, path = tmp_path / "small.pt", tmp_path / "damaged.pt"
    if not small.exists():
        torch.save({"model": nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4)), "ema": None}, small)

    def damaged(data: bytes) -> bytes:
        changed = bytearray(data)
        for place, value in places:
            changed[place % len(changed)] = value
        return bytes(changed)

    if in_pickle:
        with zipfile.ZipFile(small) as old, zipfile.ZipFile(path, "w") as new:
            for item in old.infolist():
                data = old.read(item)
                new.writestr(item, damaged(data) if item.filename.endswith("data.pkl") else data)
    else:
        path.write_bytes(damaged(small.read_bytes()))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a changed protocol number, a tensor of a strange size
        try:
            tensors = read_checkpoint(path)
        except InvalidWeights:
            return
    assert all(type(tensor) is torch.Tensor for tensor in tensors.values())


def test_modules_nested_without_end_are_refused(tmp_path: Path) -> None:
    module: nn.Module = nn.ReLU()
    for _ in range(public._MAX_DEPTH + 2):
        module = nn.Sequential(module)
    torch.save({"model": module}, tmp_path / "deep.pt")
    with pytest.raises(InvalidWeights, match="nested"):
        read_checkpoint(tmp_path / "deep.pt")


def test_a_converted_file_holds_the_stock_tensors_and_says_where_they_come_from(
    network: Any, official: Path, tmp_path: Path
) -> None:
    out = convert(official, name="yolov8n", out=tmp_path / "converted" / "yolov8n.safetensors")
    stock = load_stock(out)
    same_as(network, {name: stock.tensors[name] for name in network.state_dict()})
    assert stock.architecture == "yolov8n"
    facts = stock.facts
    assert facts["sha256"] == hash_file(official)
    assert facts["url"] is None  # not the pinned file: its address would be a lie
    assert facts["licence"] == "AGPL-3.0"
    assert facts["transfer"]["copied"] == 349
    assert [path.name for path in out.parent.iterdir()] == [out.name]


def test_the_file_of_another_scale_or_task_is_refused(official: Path, tmp_path: Path) -> None:
    with pytest.raises(InvalidWeights, match="misshapen for yolov8s"):
        convert(official, name="yolov8s", out=tmp_path / "out.safetensors")
    path = tmp_path / "other.pt"
    torch.save({"model": nn.Sequential(nn.Conv2d(1, 1, 1))}, path)
    with pytest.raises(InvalidWeights, match="no detection head"):
        convert(path, name="yolov8n", out=tmp_path / "out.safetensors")
    assert not (tmp_path / "out.safetensors").exists()
