"""What each phantom patient has, drawn from the seed and the patient's number alone.

Every 40 consecutive patients have the same labels in another order, so that small sets hold every label, too.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

Card = TypeVar("Card")

LABEL_SETS = (
    *["N"] * 13, *["D"] * 7, *["O"] * 4, *["G"] * 2, *["C"] * 2, "A", *["M"] * 2,
    *["DO"] * 2, "DH", "DC", "DA", "HO", "AO", "MO", "GH",
)  # fmt: skip
"""Labels of 40 patients: N 13, D 12, O 9, and 3 of each other; 49 labels in all."""

BOTH_EYES = {"D": 0.7, "G": 0.5, "C": 0.5, "A": 0.6, "H": 0.8, "M": 0.8, "O": 0.0}
"""Chance that a disease is in both eyes rather than in one."""

WORSE_EYE_GRADES = (*[0] * 16, *[1] * 6, *[2] * 8, *[3] * 5, *[4] * 5)
"""Grade of the worse eye of 40 patients."""


@dataclass(frozen=True, kw_only=True)
class Patient:
    """What a fundus patient has.

    Attributes:
        labels: Letters of the patient's labels.
        findings: Letters of what can be seen in the left and in the right eye.
        grades: Grade of retinopathy of the left and of the right eye, 0 to 4.
        tones: Pigment of the left and of the right eye, 0 pale to 1 dark. They differ only in patients whose
            O is this difference, while each eye by itself looks like a healthy one.
        age: Age in years, None where unknown.
        sex: `Male`, `Female` or empty where unknown.
    """

    labels: str
    findings: tuple[str, str]
    grades: tuple[int, int]
    tones: tuple[float, float]
    age: float | None
    sex: str

    @property
    def unequal(self) -> bool:
        """Whether O shows only in the comparison of both eyes."""
        return self.tones[0] != self.tones[1]


def patient_rng(seed: int, patient: int, *more: int) -> np.random.Generator:
    """Random numbers of a patient, or of one of its images, that depend on nothing else."""
    return np.random.default_rng([seed, patient, *more])


def fundus_patient(seed: int, patient: int) -> Patient:
    """A patient with the eight labels of ODIR-5K.

    O is a dark naevus in one eye, or, in patients with an odd number, a difference of pigment between the
    eyes.
    """
    labels = _deal(LABEL_SETS, seed, patient)
    rng = patient_rng(seed, patient)
    unequal = "O" in labels and patient % 2 == 1
    findings: tuple[list[str], list[str]] = ([], [])
    for label in labels:
        if label == "N" or (label == "O" and unequal):
            continue
        one_view = int(rng.integers(2))
        for view in (0, 1) if rng.random() < BOTH_EYES[label] else (one_view,):
            findings[view].append(label)
    tone = float(rng.uniform(0, 1))
    other = (tone + float(rng.uniform(0.45, 0.55))) % 1.0 if unequal else tone
    tones = (tone, other) if rng.random() < 0.5 else (other, tone)
    age, sex = _age_and_sex(rng, 60.0 if "C" in labels or "A" in labels else 52.0)
    return Patient(
        labels=labels,
        findings=("".join(findings[0]), "".join(findings[1])),
        grades=(0, 0),
        tones=tones,
        age=age,
        sex=sex,
    )


def graded_patient(seed: int, patient: int) -> Patient:
    """A patient with diabetic retinopathy of grade 0 to 4; the eyes differ by at most one grade."""
    worse = _deal(WORSE_EYE_GRADES, seed, patient)
    rng = patient_rng(seed, patient)
    better = max(0, worse - int(rng.random() < 0.3))
    grades = (worse, better) if rng.random() < 0.5 else (better, worse)
    tone = float(rng.uniform(0, 1))
    age, sex = _age_and_sex(rng, 55.0)
    return Patient(labels="", findings=("", ""), grades=grades, tones=(tone, tone), age=age, sex=sex)


def _deal(pack: Sequence[Card], seed: int, patient: int) -> Card:
    """The patient's card from a pack that is shuffled anew for each round of patients."""
    round_number, place = divmod(patient, len(pack))
    order = np.random.default_rng([seed, 7, round_number, len(pack)]).permutation(len(pack))
    return pack[int(order[place])]


def _age_and_sex(rng: np.random.Generator, mean_age: float) -> tuple[float | None, str]:
    age = float(np.clip(round(rng.normal(mean_age, 11)), 18, 92))
    sex = "Male" if rng.random() < 0.54 else "Female"
    return (age if rng.random() < 0.8 else None), (sex if rng.random() < 0.8 else "")
