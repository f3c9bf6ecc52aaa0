"""Hand-written networks and runtimes for tests of what surrounds them."""

import threading

import numpy as np

from mammo.segmenter.config import MlsamConfig
from mammo.segmenter.runtime import Answer, Features
from tests.mammo.segmenter.networks import SMALL


class CountingRuntime:
    """Counts what it is asked; every logit is `logit`. `gate`: encoding waits for it."""

    def __init__(
        self, *, precision: str = "fake", gate: threading.Event | None = None, logit: float = 1.0
    ) -> None:
        self.config: MlsamConfig = SMALL
        self.precision = precision
        self.num_encoded = 0
        self.num_decoded = 0
        self.previous: list[np.ndarray | None] = []
        self._gate = gate
        self._logit = logit

    def encode(self, planes: np.ndarray) -> Features:
        self.num_encoded += 1
        if self._gate is not None:
            assert self._gate.wait(10)
        neck = np.full((1, 8, 4, 4), planes.mean(), np.float16)
        return Features(neck, neck[:, :1])

    def decode(self, features, coordinates, labels, *, previous) -> Answer:
        self.num_decoded += 1
        self.previous.append(previous)
        return Answer(np.full((16, 16), self._logit, np.float32), 0.25)
