"""Synthetic eyes, drawn at first use: for trying, testing and teaching; what they show proves nothing about real ones.

`fundus`: pairs with the eight labels of ODIR-5K in about its prevalence. N never meets another label. Diseases are in one
eye or in both; a patient's labels are the union of both eyes' but for N, which needs two healthy eyes. Half of the O
need both eyes: their pigment differs between the eyes, while each eye alone looks like any healthy one, so that its own
N and O are unknown (-1). `grades`: pairs with diabetic retinopathy of grade 0 to 4 by the number of lesions, a patient
having the higher grade of both eyes. `ultrasound`: two to four B-scan frames a patient, dots (vitreous opacity) or a
membrane (posterior detachment).

Source: this project.
Differs: nothing.
"""

from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from jaxtyping import Int8, UInt8
from pydantic import Field

from study.data.datasets.eyepacs import GRADES
from study.data.keywords import LABELS
from study.data.pairs import Pairs, digest, one_hot, pairs_table
from study.data.phantom.fundus import draw_fundus
from study.data.phantom.patients import EYES, Patient, fundus_patient, graded_patient, patient_rng
from study.data.phantom.ultrasound import CLASSES, draw_ultrasound

VERSION = 1  # raised when the same arguments give other pictures


@dataclass(frozen=True)
class _Drawing:
    """Draws the picture of a key such as `phantom/fundus/12/left` (`phantom/ultrasound/12/0` for a frame)."""

    seed: int
    size_px: int

    def __call__(self, key: str) -> UInt8[np.ndarray, "h w 3"]:
        _, variant, number, which = key.split("/")
        patient = int(number)
        if variant == "ultrasound":
            return draw_ultrasound(
                CLASSES[_class(self.seed, patient)], self.seed, patient, int(which), self.size_px
            )
        who = (
            fundus_patient(self.seed, patient) if variant == "fundus" else graded_patient(self.seed, patient)
        )
        return draw_fundus(who, self.seed, patient, EYES[which == "right"], self.size_px)


class Phantom:
    """Drawn eyes; equal arguments give equal pictures, and a patient does not change with the number of patients.

    Args:
        root: Always None.
        variant: What is drawn.
        num_patients: Each 40 patients hold every label at least three times; 80 and more can be split.
        seed: Another seed, other patients.
        size_px: Side of the pictures before preprocessing.
    """

    def __init__(
        self,
        root: None,
        *,
        variant: Literal["fundus", "grades", "ultrasound"] = "fundus",
        num_patients: Annotated[int, Field(ge=1)] = 240,
        seed: Annotated[int, Field(ge=0)] = 0,
        size_px: Annotated[int, Field(ge=32, le=2048)] = 128,
    ) -> None:
        self.variant, self.num_patients, self.seed, self.size_px = variant, num_patients, seed, size_px

    def read(self) -> Pairs:
        """Draws who has what; the pictures are drawn when they are loaded."""
        match self.variant:
            case "ultrasound":
                return self._frames()
            case "grades":
                patients = [graded_patient(self.seed, i) for i in range(self.num_patients)]
                grades = np.array([p.grades for p in patients])
                return self._eyes(
                    patients, one_hot(grades.max(axis=1), len(GRADES)), one_hot(grades, len(GRADES))
                )
            case "fundus":
                patients = [fundus_patient(self.seed, i) for i in range(self.num_patients)]
                targets = np.array([[label in p.labels for label in LABELS] for p in patients], dtype=np.int8)
                return self._eyes(patients, targets, np.stack([_eye_targets(p) for p in patients]))

    def _eyes(
        self,
        patients: list[Patient],
        targets: Int8[np.ndarray, "n l"],
        view_targets: Int8[np.ndarray, "n 2 l"],
    ) -> Pairs:
        names = [str(i) for i in range(len(patients))]
        left, right = ([f"phantom/{self.variant}/{i}/{eye}" for i in names] for eye in EYES)
        ages = [np.nan if p.age is None else p.age for p in patients]
        return Pairs(
            dataset="phantom",
            labels=LABELS if self.variant == "fundus" else GRADES,
            kind="multilabel" if self.variant == "fundus" else "grades",
            num_views=2,
            table=pairs_table(names, names, left, right, ages, [p.sex for p in patients]),
            targets=targets,
            view_targets=view_targets,
            synthetic=True,
            root="",
            fingerprint=self._fingerprint(),
            load=_Drawing(self.seed, self.size_px),
        )

    def _frames(self) -> Pairs:
        frames = [
            (i, f)
            for i in range(self.num_patients)
            for f in range(int(patient_rng(self.seed, i, 2).integers(2, 5)))
        ]
        targets = one_hot(np.array([_class(self.seed, i) for i, _ in frames]), len(CLASSES))
        keys = [f"phantom/ultrasound/{i}/{f}" for i, f in frames]
        return Pairs(
            dataset="phantom",
            labels=CLASSES,
            kind="classes",
            num_views=1,
            table=pairs_table(
                [f"{i}-{f}" for i, f in frames], [str(i) for i, _ in frames], keys, [None] * len(keys)
            ),
            targets=targets,
            view_targets=targets[:, None],
            synthetic=True,
            root="",
            fingerprint=self._fingerprint(),
            load=_Drawing(self.seed, self.size_px),
        )

    def _fingerprint(self) -> str:
        return digest("phantom", VERSION, self.variant, self.num_patients, self.seed, self.size_px)


def _class(seed: int, patient: int) -> int:
    """The class of a patient's eye: each two neighbours have one of each."""
    return (patient + int(patient_rng(seed, patient // 2, 3).integers(2))) % 2


def _eye_targets(patient: Patient) -> Int8[np.ndarray, "2 l"]:
    """What each eye shows; N where nothing, and N and O unknown where O is a difference between the eyes."""
    targets = np.array(
        [[label in (found or "N") for label in LABELS] for found in patient.findings], dtype=np.int8
    )
    if patient.unequal:
        targets[:, [LABELS.index("N"), LABELS.index("O")]] = -1
    return targets
