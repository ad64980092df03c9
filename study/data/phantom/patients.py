"""Who has what: each phantom patient's findings, drawn from the seed and the patient's number alone.

Every run of 40 consecutive patients holds the same counts in another order, so that small sets hold every label too.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias, TypeVar

import numpy as np

Kind = TypeVar("Kind")
Eye: TypeAlias = Literal["left", "right"]
EYES: tuple[Eye, Eye] = ("left", "right")

LABEL_SETS = (
    *["N"] * 13, *["D"] * 7, *["O"] * 4, *["G"] * 2, *["C"] * 2, "A", *["M"] * 2,
    *["DO"] * 2, "DH", "DC", "DA", "HO", "AO", "MO", "GH",
)  # fmt: skip
"""Labels of 40 patients: N 13, D 12, O 9, and 3 of each other; 49 labels in all."""

BOTH_EYES = {"D": 0.7, "G": 0.5, "C": 0.5, "A": 0.6, "H": 0.8, "M": 0.8, "O": 0.0}
"""Chance that a disease is in both eyes rather than in one."""

GRADES = (*[0] * 16, *[1] * 6, *[2] * 8, *[3] * 5, *[4] * 5)
"""Grade of the worse eye of 40 patients."""


@dataclass(frozen=True)
class Patient:
    """What a fundus patient has.

    Attributes:
        labels: Letters of the patient's labels.
        findings: Letters of what can be seen in the left and in the right eye.
        grades: Retinopathy of the left and of the right eye, 0 to 4.
        tones: Pigment of the left and of the right eye, 0 pale to 1 dark. Equal but for patients whose O is that they differ:
            each of these eyes alone looks like any healthy one.
        age: Years, None where unknown.
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
        """O shows only in the comparison of both eyes."""
        return self.tones[0] != self.tones[1]


def patient_rng(seed: int, patient: int, *more: int) -> np.random.Generator:
    """Random numbers of a patient, or of one of its images, that depend on nothing else."""
    return np.random.default_rng([seed, patient, *more])


def fundus_patient(seed: int, patient: int) -> Patient:
    """A patient with the eight labels of ODIR-5K.

    O is a dark naevus in one eye, or (for the other half, those of odd number) a difference of pigment between the eyes.
    """
    labels = _dealt(LABEL_SETS, seed, patient)
    rng = patient_rng(seed, patient)
    unequal = "O" in labels and patient % 2 == 1
    findings: tuple[list[str], list[str]] = ([], [])
    for label in labels:
        if label == "N" or (label == "O" and unequal):
            continue
        side = int(rng.integers(2))
        for view in (0, 1) if rng.random() < BOTH_EYES[label] else (side,):
            findings[view].append(label)
    tone = float(rng.uniform(0, 1))
    other = (tone + float(rng.uniform(0.45, 0.55))) % 1.0 if unequal else tone
    tones = (tone, other) if rng.random() < 0.5 else (other, tone)
    age, sex = _person(rng, 60.0 if "C" in labels or "A" in labels else 52.0)
    return Patient(labels, ("".join(findings[0]), "".join(findings[1])), (0, 0), tones, age, sex)


def graded_patient(seed: int, patient: int) -> Patient:
    """A patient with diabetic retinopathy of grade 0 to 4; the better eye is at most one grade below the worse."""
    worse = _dealt(GRADES, seed, patient)
    rng = patient_rng(seed, patient)
    better = max(0, worse - int(rng.random() < 0.3))
    grades = (worse, better) if rng.random() < 0.5 else (better, worse)
    tone = float(rng.uniform(0, 1))
    age, sex = _person(rng, 55.0)
    return Patient("", ("", ""), grades, (tone, tone), age, sex)


def _dealt(kinds: Sequence[Kind], seed: int, patient: int) -> Kind:
    """The patient's card from a pack that is shuffled anew for each run of patients."""
    run, place = divmod(patient, len(kinds))
    return kinds[int(np.random.default_rng([seed, 7, run, len(kinds)]).permutation(len(kinds))[place])]


def _person(rng: np.random.Generator, mean_age: float) -> tuple[float | None, str]:
    age = float(np.clip(round(rng.normal(mean_age, 11)), 18, 92))
    sex = "Male" if rng.random() < 0.54 else "Female"
    return (age if rng.random() < 0.8 else None), (sex if rng.random() < 0.8 else "")
