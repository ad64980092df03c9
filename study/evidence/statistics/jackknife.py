"""How far a number would move with other patients: it is computed without each group of them in turn.

Source: Tukey 1958 and Efron & Tibshirani 1993, chapter 11 (jackknife estimates of variance and bias);
Satterthwaite 1946 (degrees of freedom of a sum of variances).
Differs: The degrees of freedom come from the kurtosis of the patients' influences, so that a number to which
few patients contribute has few.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.special import stdtrit

MAX_GROUPS = 500  # of more patients, several are left out together
_NOTHING = 1e-18  # a variance below this is rounding


class LeftOut:
    """Sets of patients that lack one group each, the same for every model that is compared.

    Args:
        patients: Everyone who may be left out; all samples of a patient leave together.
        max_groups: Greatest number of groups. Each patient is a group where there are not more patients.
    """

    def __init__(self, patients: Iterable[str], max_groups: int = MAX_GROUPS) -> None:
        known = sorted(set(patients))
        size = max(1, -(-len(known) // max_groups))
        self.num = -(-len(known) // size)
        self._group = {patient: i % self.num for i, patient in enumerate(known)}

    def __eq__(self, other: object) -> bool:
        """Whether both leave out the same groups."""
        return isinstance(other, LeftOut) and self._group == other._group

    __hash__ = None  # type: ignore[assignment]

    def weights(self, patient: Sequence[str]) -> Float[np.ndarray, "n g"]:
        """0 where the sample's patient is left out, else 1.

        Args:
            patient: Patient that each sample belongs to.

        Raises:
            ValueError: A patient was not among those who may be left out.
        """
        if strangers := set(patient) - self._group.keys():
            raise ValueError(f"`patient`: must be among the given patients, got `{min(strangers)}`.")
        weights = np.ones((len(patient), self.num))
        weights[np.arange(len(patient)), [self._group[p] for p in patient]] = 0
        return weights


@dataclass(frozen=True)
class Deviation:
    """How far a number may be from what it estimates.

    Attributes:
        bias: How much too great the number is on average.
        variance: Variance of the number; NaN where it is undefined without some group.
        df: Degrees of freedom of the variance.
    """

    bias: float
    variance: float
    df: float

    @property
    def error(self) -> float:
        """The standard error; exactly 0 where no patient changes the number."""
        return float(np.sqrt(self.variance)) if not self.variance < _NOTHING else 0.0

    @property
    def reach(self) -> float:
        """How many standard errors a 95 % interval reaches to each side."""
        return t_quantile(0.975, self.df)

    def plus(self, variance: float, df: float) -> "Deviation":
        """With a second, independent variance."""
        total = self.variance + variance
        if not total > _NOTHING:
            return self
        joint = total**2 / (self.variance**2 / self.df + variance**2 / df)
        return Deviation(self.bias, total, joint)


def t_quantile(share: float, df: float) -> float:
    """The quantile of Student's distribution."""
    return float(stdtrit(df, share))


def jackknife(value: float, left_out: Float[np.ndarray, " g"]) -> Deviation:
    """The deviation of a number over patients.

    With d_i = (g - 1) (mean - left_out_i): bias = (g - 1) (mean - value), variance = Σ d² / (g (g - 1)), and
    df = 2 g / (kurtosis of d - 1), at most g - 1.

    Args:
        value: The number over all patients.
        left_out: The number without each group of patients.
    """
    num = len(left_out)
    if num < 2:
        return Deviation(0.0, float("nan"), 1.0)
    mean = left_out.mean()
    influence = (num - 1) * (mean - left_out)
    squares = float((influence**2).sum())
    variance = squares / (num * (num - 1))
    if not variance > _NOTHING:
        return Deviation(0.0, variance, num - 1.0)
    kurtosis = num * float((influence**4).sum()) / squares**2
    df = min(num - 1.0, max(1.0, 2 * num / max(kurtosis - 1, 1e-9)))
    return Deviation(float((num - 1) * (mean - value)), variance, df)
