"""How many patients or seeds it takes to see a difference of a given size between two rows of a table.

Source: the two-sided test at level α has power 1 - β for a difference d where its standard error is at most
|d| / (z(1 - α/2) + z(1 - β)); Cohen 1988, chapter 2.
Differs: the variance of the paired difference has two parts, one over patients and one over seeds, which are
taken from rows of ours.
"""

from dataclasses import dataclass
from math import ceil

import numpy as np
from scipy.special import ndtri

from study.evidence.statistics.comparison import between_seeds
from study.evidence.statistics.estimate import Estimate
from study.evidence.statistics.jackknife import jackknife

LEVEL, POWER = 0.05, 0.8


@dataclass(frozen=True)
class Noise:
    """How much the paired difference of two rows varies.

    Attributes:
        of_patients: Its variance over patients, with as many as there are.
        of_seeds: Variance of the difference of one seed; NaN where the rows have one seed each.
        num_patients: Number of patients.
        num_seeds: Number of seeds of each row.
    """

    of_patients: float
    of_seeds: float
    num_patients: int
    num_seeds: int

    def patients_for(self, difference: float) -> int | None:
        """Patients that show the difference with as many seeds; None where no number does."""
        left = _most_variance(difference) - float(np.nan_to_num(self.of_seeds)) / self.num_seeds
        return ceil(self.num_patients * self.of_patients / left) if left > 0 else None

    def seeds_for(self, difference: float) -> int | None:
        """Seeds of each row that show it with as many patients; None where no number does.

        The variance over seeds must be known.
        """
        left = _most_variance(difference) - self.of_patients
        return max(1, ceil(self.of_seeds / left)) if left > 0 else None


def noise_between(row: Estimate, reference: Estimate, num_patients: int) -> Noise | None:
    """The noise of the difference of two estimates from the same `LeftOut`; None where it is not known."""
    if not (row.support.enough and reference.support.enough):
        return None
    over_patients = jackknife(row.value - reference.value, row.left_out - reference.left_out)
    if not over_patients.variance > 0:  # the same decisions, or one patient
        return None
    seeds = between_seeds(row, reference)
    of_seeds = sum(variance for variance, _ in seeds) if seeds else float("nan")
    return Noise(
        over_patients.variance, of_seeds, num_patients, min(len(row.by_seed), len(reference.by_seed))
    )


def _most_variance(difference: float) -> float:
    reach = float(ndtri(1 - LEVEL / 2) + ndtri(POWER))
    return (difference / reach) ** 2
