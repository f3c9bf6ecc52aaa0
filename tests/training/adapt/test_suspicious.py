from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from mammo.geometry import Box
from tests.training.detections import at
from training.adapt.suspicious import suspicious_boxes


def detector(*detections: Any) -> Any:
    return lambda mammogram: detections


def test_one_detector_alone_decides() -> None:
    found = at(10, 10, 0.97)
    assert suspicious_boxes(SimpleNamespace(), [detector(found)]) == [found.box]  # type: ignore[arg-type]
    assert suspicious_boxes(SimpleNamespace(), [detector()]) == []  # type: ignore[arg-type]


def test_two_detectors_must_call_the_same_place_a_cluster() -> None:
    first = detector(at(10, 10, 0.6), at(50, 50, 0.6))
    wide = SimpleNamespace(
        box=Box(30, 30, 60, 60), score=0.7
    )  # its centre is elsewhere, but it holds (50, 50)
    second = detector(wide, at(90, 90, 0.9))
    assert suspicious_boxes(SimpleNamespace(), [first, second]) == [at(50, 50, 0.6).box]  # type: ignore[arg-type]
    assert suspicious_boxes(SimpleNamespace(), [first, detector()]) == []  # type: ignore[arg-type]
