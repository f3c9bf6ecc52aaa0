"""Cohen's kappa: agreement of two readers beyond chance, on which patients have a finding, or on words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Kappa:
    """Contingency table of two readers over the same patients."""

    both: int
    """Patients in whom both readers found something."""

    only_first: int
    only_second: int
    neither: int

    @property
    def patients(self) -> int:
        return self.both + self.only_first + self.only_second + self.neither

    @property
    def observed(self) -> float | None:
        """p_o: share of patients that both readers rate alike; None without patients."""
        return (self.both + self.neither) / self.patients if self.patients else None

    @property
    def value(self) -> float | None:
        """kappa = (p_o - p_e) / (1 - p_e) (Cohen 1960), where p_e is the agreement that two independent readers with
        these rates would reach. None where it is undefined: no patients, or both readers gave every patient the same
        rating."""
        if self.observed is None:
            return None
        first, second = self.both + self.only_first, self.both + self.only_second
        n = self.patients
        chance = (first * second + (n - first) * (n - second)) / n**2
        return (self.observed - chance) / (1 - chance) if chance < 1 else None


def cohens_kappa(ratings: Iterable[tuple[bool, bool]]) -> Kappa:
    """Count the ratings (first reader, second reader) of each patient."""
    counts = Counter(ratings)
    return Kappa(
        both=counts[True, True],
        only_first=counts[True, False],
        only_second=counts[False, True],
        neither=counts[False, False],
    )


def nominal_kappa(ratings: Sequence[tuple[Hashable, Hashable]]) -> float | None:
    """Return Cohen's kappa of words without an order: (p_o - p_e) / (1 - p_e).

    Args:
        ratings: word of the first and of the second reader.

    Returns:
        In [-1, 1]; None where it is undefined: no ratings, or both readers always use the same one word.
    """
    n = len(ratings)
    first, second = (Counter(pair[reader] for pair in ratings) for reader in (0, 1))
    agreed = sum(one == other for one, other in ratings)
    chance = sum(first[word] * second[word] for word in first)
    return (n * agreed - chance) / (n**2 - chance) if n**2 > chance else None


def weighted_kappa(
    ratings: Sequence[tuple[Hashable, Hashable]], *, order: Sequence[Hashable]
) -> float | None:
    """Return Cohen's kappa of ordered words with linear weights (Cohen 1968).

    1 - n sum |i - j| o_ij / sum |i - j| f_i s_j, where o_ij of the n ratings are (i, j), and the first reader uses word
    i f_i times, the second word j s_j times.

    Args:
        ratings: word of the first and of the second reader.
        order: all words, in their order.

    Returns:
        At most 1; None where it is undefined: no ratings, or both readers always use the same one word.
    """
    place = {word: index for index, word in enumerate(order)}
    places = [(place[first], place[second]) for first, second in ratings]
    first, second = (Counter(pair[reader] for pair in places) for reader in (0, 1))
    observed = sum(abs(one - other) for one, other in places)
    chance = sum(
        abs(one - other) * times * often for one, times in first.items() for other, often in second.items()
    )
    return 1 - len(places) * observed / chance if chance else None


def ratings_by_patient(images: Iterable[tuple[str, tuple[bool, bool]]]) -> Mapping[str, tuple[bool, bool]]:
    """Rate a patient positive for a reader if the reader found a lesion in any of the patient's images.

    Args:
        images: Patient key of each image, and whether the first and the second reader found a lesion in it.
    """
    ratings: dict[str, tuple[bool, bool]] = {}
    for patient, (first, second) in images:
        positive_first, positive_second = ratings.get(patient, (False, False))
        ratings[patient] = positive_first or first, positive_second or second
    return ratings
