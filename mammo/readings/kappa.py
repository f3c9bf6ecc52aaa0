"""Cohen's kappa: how far two readers agree on who has a finding, beyond what chance would give."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Kappa:
    """Two readers' yes or no on the same patients."""

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
        """p_o: share of patients on whom they agree; None without patients."""
        return (self.both + self.neither) / self.patients if self.patients else None

    @property
    def value(self) -> float | None:
        """kappa = (p_o - p_e) / (1 - p_e), Cohen 1960, with p_e what two independent readers of these rates would
        agree on. None where it has no meaning: no patients, or both readers always say the same one thing."""
        if self.observed is None:
            return None
        first, second = (self.both + each for each in (self.only_first, self.only_second))
        n = self.patients
        chance = (first * second + (n - first) * (n - second)) / n**2
        return (self.observed - chance) / (1 - chance) if chance < 1 else None


def cohens_kappa(said: Iterable[tuple[bool, bool]]) -> Kappa:
    """From what the two readers said of each patient."""
    counts = Counter(said)
    return Kappa(
        both=counts[True, True],
        only_first=counts[True, False],
        only_second=counts[False, True],
        neither=counts[False, False],
    )


def by_patient(images: Iterable[tuple[str, tuple[bool, bool]]]) -> Mapping[str, tuple[bool, bool]]:
    """A patient has a finding, for a reader, when any of the patient's images has.

    Args:
        images: patient key, and whether each reader found anything on the image.
    """
    found: dict[str, tuple[bool, bool]] = {}
    for patient, (first, second) in images:
        before = found.get(patient, (False, False))
        found[patient] = before[0] or first, before[1] or second
    return found
