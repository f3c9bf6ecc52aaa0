"""A word may be proposed only if enough was said of it, and the head is provably right where it is sure."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mammo.words.head import DescriptorHead
from training.words.examples import Examples
from training.words.figures import calibration_error, lower_limit
from training.words.fitting import fit_descriptor
from training.words.rule import Agreement, WordRule
from training.words.softmax import fit

WORDS = ("grouped", "linear", "segmental")


def examples(
    *, patients: int, each: int = 1, clear: float = 9.0, words: tuple[str, ...] = WORDS[:2]
) -> Examples:
    """Every patient has `each` findings of every word; `clear` deviations of the first feature tell these apart."""
    rng = np.random.default_rng(7)
    rows = [
        (patient, index) for patient in range(patients) for index in range(len(words)) for _ in range(each)
    ]
    x = rng.normal(0, 1, (len(rows), 35))
    x[:, 0] += [clear * index for _, index in rows]
    x[:, 34] = 0.5  # a feature that never varies
    return Examples(
        x=x,
        words=tuple(words[index] for _, index in rows),
        patients=tuple(f"p{patient:03}" for patient, _ in rows),
        train=tuple(patient % 5 < 3 for patient, _ in rows),
    )


def fitted(
    found: Examples, *, agreement: Agreement | None = None, rule: WordRule | None = None
) -> dict[str, Any]:
    return fit_descriptor("distribution", found, agreement=agreement, rule=rule or WordRule())


def sentences(content: dict[str, Any]) -> list[str]:
    return [row["sentence"] for row in content["words"]]


def test_words_that_the_head_tells_apart_may_be_proposed() -> None:
    found = examples(patients=100)
    content = fitted(found)
    assert [(row["word"], row["proposed"], row["findings"], row["patients"]) for row in content["words"]] == [
        ("grouped", True, 100, 100),
        ("linear", True, 100, 100),
    ]
    assert content["held_out"]["confusion"] == [[40, 0], [0, 40]]
    assert (content["held_out"]["findings"], content["held_out"]["patients"]) == (80, 40)
    assert content["held_out"]["calibration_error"] < 0.05
    assert "(at least 0.91) of 40 held-out findings" in sentences(content)[0]
    head = DescriptorHead.of("distribution", content)
    low, high = (head.sure_of(found.x[found.words.index(word)]) for word in WORDS[:2])
    assert (low and low[0], high and high[0]) == ("grouped", "linear")


def test_a_word_of_which_too_little_was_said_names_what_is_missing() -> None:
    content = fitted(examples(patients=19, each=2))
    assert sentences(content) == [
        f"{word}: not proposed, it needs 12 more findings of '{word}' and findings of 11 more patients"
        for word in WORDS[:2]
    ]
    assert content["head"] is not None


def test_a_head_that_guesses_is_measured_and_not_let() -> None:
    content = fitted(examples(patients=100, clear=0.0))
    assert not any(row["proposed"] for row in content["words"])
    assert 0.3 < content["held_out"]["accuracy"][0] < 0.7
    assert (
        "a lower limit of its precision of 0.90" in sentences(content)[0]
        or "ever sure" in sentences(content)[0]
    )
    assert DescriptorHead.of("distribution", content).thresholds == {}


def test_a_few_that_are_all_right_are_no_proof() -> None:
    def low(patients: int) -> float:
        right = np.ones(patients, bool)
        return lower_limit(right, right, [str(each) for each in range(patients)])

    assert (low(0), round(low(3), 2)) == (0.0, 0.29)
    assert low(35) < 0.9 <= low(36)
    right = np.array([True] * 99 + [False])
    assert lower_limit(right, np.ones(100, bool), ["one patient"] * 100) == 0.0


def test_without_two_words_or_five_patients_there_is_no_head_but_a_sentence() -> None:
    for few in (examples(patients=100, words=WORDS[:1]), examples(patients=4), examples(patients=0)):
        content = fitted(few)
        assert (content["head"], any(row["proposed"] for row in content["words"])) == (None, False)
        assert "it needs two words and 5 patients to train on" in content["sentence"]


def test_the_bar_is_the_readers_agreement_where_enough_was_compared() -> None:
    rule = WordRule()
    assert rule.bar_of(None) == 0.9
    assert rule.bar_of(Agreement(compared=49, observed=0.85)) == 0.9
    assert rule.bar_of(Agreement(compared=50, observed=0.85)) == 0.85
    assert rule.bar_of(Agreement(compared=50, observed=0.97)) == 0.97
    assert rule.bar_of(Agreement(compared=50, observed=0.6)) == 0.8
    strict = fitted(examples(patients=100), agreement=Agreement(compared=90, observed=0.97))
    assert strict["bar"] == 0.97
    assert not any(row["proposed"] for row in strict["words"]), "40 patients cannot show that much"


def test_held_out_patients_do_not_change_what_is_fitted() -> None:
    found = examples(patients=40)
    train = np.array(found.train)
    x = np.where(train[:, None], found.x, found.x + 100)
    other = Examples(x=x, words=found.words, patients=found.patients, train=found.train)
    assert fitted(other)["head"] == fitted(found)["head"]


def test_probabilities_that_a_head_states_come_true() -> None:
    rng = np.random.default_rng(3)
    x = rng.normal(0, 1, (600, 3))
    y = (rng.random(600) < 1 / (1 + np.exp(-1.5 * x[:, 0]))).astype(np.int64)
    regression = fit(x[:300], y[:300], [str(each) for each in range(300)], num_classes=2)
    stated = regression.probabilities(x[300:])
    assert np.allclose(stated.sum(1), 1)
    error = calibration_error(stated.max(1), stated.argmax(1) == y[300:])
    assert error is not None
    assert error < 0.1
    assert calibration_error(np.zeros(0), np.zeros(0, bool)) is None
    with pytest.raises(ValueError, match="at least 5 patients"):
        fit(x[:9], y[:9], ["a"] * 9, num_classes=2)
