"""Precision: which share of the doubts that readers have answered was right."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from mammo.second_looks.doubt import StoredDoubt

Z95 = 1.959964
"""Quantile of the normal distribution of a two-sided interval of 95 %."""

BANDS = (0.7, 0.4, 0.0)
"""Lower ends of the bands of scores, highest first."""


@dataclass(frozen=True, kw_only=True)
class Precision:
    """The answers to a group of doubts."""

    group: str
    answered: int
    changed: int
    """Labels that were wrong: their readers have changed them."""

    @property
    def value(self) -> float | None:
        """changed / answered; None without answers."""
        return self.changed / self.answered if self.answered else None

    @property
    def interval(self) -> tuple[float, float] | None:
        """Wilson's interval of 95 %: (p + z^2/2n ± z sqrt(p(1-p)/n + z^2/4n^2)) / (1 + z^2/n). Doubts about one image
        are not independent, so it is rather too narrow. None without answers."""
        if not self.answered:
            return None
        n, p = self.answered, self.changed / self.answered
        centre = p + Z95**2 / (2 * n)
        half = Z95 * math.sqrt(p * (1 - p) / n + Z95**2 / (4 * n**2))
        scale = 1 + Z95**2 / n
        return max((centre - half) / scale, 0.0), min((centre + half) / scale, 1.0)

    def to_json(self) -> dict[str, Any]:
        return {
            "group": self.group,
            "answered": self.answered,
            "changed": self.changed,
            "precision": self.value,
            "interval": self.interval,
        }


def precision_by(answered: Sequence[StoredDoubt], key: Callable[[StoredDoubt], str]) -> list[Precision]:
    """Return the precision of each group, by its name.

    Args:
        answered: doubts with an answer.
        key: returns the group of a doubt, such as its cause.
    """
    groups: dict[str, list[StoredDoubt]] = {}
    for doubt in answered:
        groups.setdefault(key(doubt), []).append(doubt)
    return [
        Precision(group=name, answered=len(each), changed=sum(doubt.answer == "changed" for doubt in each))
        for name, each in sorted(groups.items())
    ]


def band_of(doubt: StoredDoubt) -> str:
    """Return the band of a doubt's score."""
    low = next(low for low in BANDS if doubt.score >= low)
    return f"score from {low:.1f}"
