"""Cohorts of invented patients whose truth is known, for `cohorts.py`.

Eight labels are carried by 2 % to 50 % of the samples. Scores are normal, higher by a label's strength where
it is carried, and both eyes of a patient share a part of label and score. The truth is that of endless
patients: AUC and average precision by integrals, decided shares by the normal distribution, pooled measures
from half a million samples.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from jaxtyping import Bool, Float
from scipy.special import expit, ndtr, ndtri

from study.evidence.metrics import metrics_of
from study.evidence.predictions import Predictions
from study.evidence.statistics.bootstrap import DecidedPredictions

PREVALENCE = np.array([0.50, 0.30, 0.25, 0.08, 0.06, 0.05, 0.04, 0.02])
STRENGTH = np.array([1.2, 1.5, 1.0, 1.8, 2.6, 3.2, 2.2, 1.5])
CUT = np.array([0.6, 1.1, 1.0, 1.9, 2.2, 2.4, 2.3, 2.1])  # decisions: about the best F1 of each label
LABEL_SHARED, SCORE_SHARED = 0.8, 0.4  # part of the variance that both eyes of a patient share
METRICS = metrics_of("multilabel")
POOLED = ("odir_kappa", "odir_final", "exact_match", "micro_f1")


@dataclass(frozen=True)
class Case:
    """A size of cohort.

    Attributes:
        patients: Number of patients.
        eyes: Samples of each patient.
    """

    patients: int
    eyes: int

    @property
    def name(self) -> str:
        """`200 x 2`."""
        return f"{self.patients} x {self.eyes}"


class Cohort:
    """Patients and what several equally good, correlated networks score.

    Args:
        case: The size.
        rng: Random numbers.
    """

    def __init__(self, case: Case, rng: np.random.Generator) -> None:
        self.case = case
        self._rng = rng
        liability = self._normal(LABEL_SHARED)
        self.target: Bool[np.ndarray, "n l"] = liability < ndtri(PREVALENCE)
        self._common = self._normal(SCORE_SHARED)
        self.patient = [f"p{i:04d}" for i in np.repeat(np.arange(case.patients), case.eyes)]

    def _normal(self, shared: float) -> Float[np.ndarray, "n l"]:
        """Standard normal numbers of which a patient's samples share a part of the variance."""
        shape = (self.case.patients, self.case.eyes, len(PREVALENCE))
        of_patient = self._rng.standard_normal((shape[0], 1, shape[2]))
        mixed = np.sqrt(shared) * of_patient + np.sqrt(1 - shared) * self._rng.standard_normal(shape)
        return np.asarray(mixed.reshape(-1, shape[2]))

    def network(self, correlation: float = 0.8, stronger: float = 0.0) -> DecidedPredictions:
        """A network's predictions.

        Args:
            correlation: Of its errors with those of the other networks, as a root of the shared variance.
            stronger: What is added to the strength of every label.
        """
        own = np.sqrt(1 - correlation**2) * self._normal(SCORE_SHARED)
        score = (STRENGTH + stronger) * self.target + correlation * self._common + own
        num = len(score)
        predictions = Predictions(
            trial="search-00000",
            head="network",
            setting="",
            split="test",
            sample=[f"s{i:05d}" for i in range(num)],
            patient=self.patient,
            target=self.target.astype(np.int8),
            score=expit(score),
            synthetic=True,
        )
        return DecidedPredictions(predictions, score > CUT)


@cache
def truth() -> Mapping[str, Float[np.ndarray, " m"]]:
    """The value of each metric on endless patients: one number for an aggregate, one for each label else."""
    sensitivity, specificity = ndtr(STRENGTH - CUT), ndtr(CUT)
    found, alarms = PREVALENCE * sensitivity, (1 - PREVALENCE) * (1 - specificity)
    cohort = Cohort(Case(500_000, 1), np.random.default_rng(9))
    many = cohort.network()
    evaluation = many.evaluation()
    known = {
        "auc": ranked(STRENGTH)["macro_auc"],
        "average_precision": ranked(STRENGTH)["macro_average_precision"],
        "f1": 2 * found / (found + alarms + PREVALENCE),
        "recall": sensitivity,
        "specificity": specificity,
    }
    pooled = {name: METRICS[name].compute(evaluation) for name in POOLED}
    return known | pooled


def ranked(strength: Float[np.ndarray, " l"]) -> Mapping[str, Float[np.ndarray, " l"]]:
    """AUC and ∫ precision(z) density of the carriers(z) dz of each label on endless patients."""
    z = np.linspace(-8, 14, 2_001)[:, None]
    density = np.exp(-((z - strength) ** 2) / 2) / np.sqrt(2 * np.pi)
    found, alarms = PREVALENCE * ndtr(strength - z), (1 - PREVALENCE) * ndtr(-z)
    precision = found / np.maximum(found + alarms, 1e-300)
    return {
        "macro_auc": ndtr(strength / np.sqrt(2)),
        "macro_average_precision": np.trapezoid(density * precision, z[:, 0], axis=0),
    }


def true_value(name: str, carriers: Sequence[int]) -> float:
    """The truth of an aggregate; a mean is over the labels that somebody carries."""
    if name in truth():
        return float(truth()[name][0])
    return float(truth()[name.removeprefix("macro_")][np.array(carriers) > 0].mean())
