"""WordHead: a softmax regression per descriptor, which proposes the words that it was measured to be right about.

Fitted in `training.words`. It is JSON, named by the SHA-256 of its text, and never changes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import orjson

from mammo.dicom import Mammogram
from mammo.errors import InvalidWeights
from mammo.findings import Finding
from mammo.words.features import NUM_FEATURES, Floats, features

SCHEMA = 1
"""Version of the JSON and of the features: a head of another one cannot be read."""

MAX_DEVIATION = 5.0
"""Standard deviations at which a feature is clipped, so that no single odd number decides."""


@dataclass(frozen=True, kw_only=True, eq=False)
class DescriptorHead:
    """Proposes the words of one descriptor."""

    name: str
    """`morphology` or `distribution`."""

    words: tuple[str, ...]
    """K words of `mammo.bi_rads`."""

    mean: Floats
    scale: Floats
    """35 each: what features are standardised by."""

    weights: Floats
    """36 x K; the last row has the constants."""

    temperature: float
    thresholds: Mapping[str, float]
    """Least probability, in [0, 1], of each word that may be proposed; the others never are."""

    @classmethod
    def of(cls, name: str, content: Mapping[str, Any]) -> Self:
        """Read the head of a descriptor.

        Raises:
            KeyError, TypeError, ValueError: it is not one.
        """
        head = content["head"]
        words = tuple(str(word) for word in head["words"])
        shapes = {
            "mean": (NUM_FEATURES,),
            "scale": (NUM_FEATURES,),
            "weights": (NUM_FEATURES + 1, len(words)),
        }
        numbers = {key: np.array(head[key], np.float64).reshape(shape) for key, shape in shapes.items()}
        return cls(
            name=name,
            words=words,
            temperature=float(head["temperature"]),
            thresholds={row["word"]: float(row["threshold"]) for row in content["words"] if row["proposed"]},
            **numbers,
        )

    def probabilities(self, x: Floats) -> Floats:
        """Return the probability of each word: N x 35 features to N x K, rows that sum to 1."""
        # Here, because the backend, which imports this module, starts without scipy.
        from scipy.special import softmax

        standard = np.clip((x - self.mean) / self.scale, -MAX_DEVIATION, MAX_DEVIATION)
        return np.asarray(
            softmax((standard @ self.weights[:-1] + self.weights[-1]) / self.temperature, axis=1)
        )

    def sure_of(self, x: Floats) -> tuple[str, float] | None:
        """Return the most probable word for 35 features, and its probability; None if the head is not sure of it."""
        (probabilities,) = self.probabilities(x[None])
        best = int(probabilities.argmax())
        word, probability = self.words[best], float(probabilities[best])
        return (word, probability) if probability >= self.thresholds.get(word, np.inf) else None


@dataclass(frozen=True, kw_only=True, eq=False)
class WordHead:
    """The heads of all descriptors that were fitted for one project."""

    name: str
    """SHA-256 of the JSON, hexadecimal."""

    descriptors: tuple[DescriptorHead, ...]

    @classmethod
    def read(cls, content: bytes, *, name: str) -> Self:
        """Read a head from its JSON.

        Raises:
            InvalidWeights: it does not have the SHA-256 `name`, or is of another release (code `damaged_word_head`).
        """
        try:
            if hashlib.sha256(content).hexdigest() != name:
                raise ValueError("it was changed")
            fitted = orjson.loads(content)
            if fitted["schema"] != SCHEMA:
                raise ValueError("it is of another release")
            heads = tuple(
                DescriptorHead.of(descriptor, each)
                for descriptor, each in fitted["descriptors"].items()
                if each["head"] is not None
            )
        except (KeyError, TypeError, ValueError) as error:
            raise InvalidWeights(
                f"the head {name[:12]} that proposes words cannot be used ({error}); fit it again with `yolo-mlsam "
                "words fit`",
                code="damaged_word_head",
            ) from error
        return cls(name=name, descriptors=heads)

    def propose(
        self,
        mammogram: Mammogram,
        findings: Iterable[Finding],
        *,
        offered: Mapping[str, Collection[str]],
    ) -> tuple[Finding, ...]:
        """Return the findings of a model with the words that the head is sure of, each marked as proposed.

        Args:
            findings: in the frame of the mammogram; those without an outline stay as they are.
            offered: by descriptor, the words that the project offers on this image; no other is proposed.
        """
        return tuple(self._described(mammogram, each, offered) for each in findings)

    def _described(
        self, mammogram: Mammogram, finding: Finding, offered: Mapping[str, Collection[str]]
    ) -> Finding:
        x = features(mammogram, finding)
        sure = {} if x is None else {head.name: head.sure_of(x) for head in self.descriptors}
        words = {name: each for name, each in sure.items() if each and each[0] in offered.get(name, ())}
        if not words:
            return finding
        said = ", ".join(f"{word} ({probability:.2f})" for word, probability in words.values())
        return replace(
            finding,
            morphology=words["morphology"][0] if "morphology" in words else finding.morphology,
            distribution=words["distribution"][0] if "distribution" in words else finding.distribution,
            proposed=tuple((name, round(probability, 4)) for name, (_, probability) in words.items()),
            word_head=self.name,
            text=(*finding.text, f"words proposed by the model: {said}"),
        )
