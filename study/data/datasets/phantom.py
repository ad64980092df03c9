"""Synthetic eyes, drawn at first use, to try, test and teach with; they prove nothing about real eyes.

`fundus`: pairs with the eight labels of ODIR-5K, about as frequent as there. N stands alone. A disease is in
one eye or in both, and a patient's labels are the union of both eyes' labels, except N, which needs two
healthy eyes. Half of the patients with O can be recognised by both eyes alone: the pigment differs between
the eyes, while each eye by itself looks like a healthy one, so that its own N and O are unknown (-1).

`grades`: pairs with diabetic retinopathy of grade 0 to 4, shown by the number of lesions; a patient has the
higher grade of both eyes.

`ultrasound`: two to four B-scan frames a patient, with dots (vitreous opacity) or a membrane (posterior
detachment).

Source: this project.
Differs: nothing.
"""

from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from jaxtyping import Int8, UInt8
from pydantic import Field

from study.data.datasets.eyepacs import GRADES
from study.data.keywords import LABEL_NAMES, LABELS
from study.data.pairs import EYES, Pairs, digest, one_hot, pairs_table
from study.data.phantom.fundus import draw_fundus
from study.data.phantom.patients import Patient, fundus_patient, graded_patient, patient_rng
from study.data.phantom.ultrasound import CLASSES, draw_ultrasound

PICTURES_VERSION = 1  # raised when the same arguments give other pictures


@dataclass(frozen=True)
class _Drawing:
    """Draws the picture of a key such as `phantom/fundus/12/left` (`phantom/ultrasound/12/0` for a frame)."""

    seed: int
    size_px: int

    def __call__(self, key: str) -> UInt8[np.ndarray, "h w 3"]:
        _, variant, number, which = key.split("/")
        patient = int(number)
        if variant == "ultrasound":
            finding = CLASSES[_class(self.seed, patient)]
            return draw_ultrasound(finding, self.seed, patient, int(which), self.size_px)
        describe = fundus_patient if variant == "fundus" else graded_patient
        eye = EYES[which == "right"]
        return draw_fundus(describe(self.seed, patient), self.seed, patient, eye, self.size_px)


class Phantom:
    """Drawn eyes; equal arguments give equal pictures.

    A patient does not change with the number of patients.

    Args:
        root: Always None.
        variant: What is drawn.
        num_patients: Number of patients. Every 40 of them have each label at least three times; 80 and more
            can be split.
        seed: Seed of the patients and their pictures.
        size_px: Side of the pictures in pixels, before preprocessing.
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
        """Decides what each patient has; the pictures are drawn when they are loaded."""
        match self.variant:
            case "ultrasound":
                return self._read_frames()
            case "grades":
                patients = [graded_patient(self.seed, i) for i in range(self.num_patients)]
                grades = np.array([patient.grades for patient in patients])
                targets, view_targets = (one_hot(part, len(GRADES)) for part in (grades.max(axis=1), grades))
            case "fundus":
                patients = [fundus_patient(self.seed, i) for i in range(self.num_patients)]
                targets = np.stack([_one_where_in(patient.labels) for patient in patients])
                view_targets = np.stack([_eye_targets(patient) for patient in patients])
        return self._pairs(patients, targets, view_targets)

    def _pairs(
        self,
        patients: list[Patient],
        targets: Int8[np.ndarray, "n l"],
        view_targets: Int8[np.ndarray, "n 2 l"],
    ) -> Pairs:
        is_fundus = self.variant == "fundus"
        names = [str(i) for i in range(len(patients))]
        left = [f"phantom/{self.variant}/{name}/left" for name in names]
        right = [f"phantom/{self.variant}/{name}/right" for name in names]
        ages = [np.nan if patient.age is None else patient.age for patient in patients]
        sexes = [patient.sex for patient in patients]
        return Pairs(
            dataset="phantom",
            labels=LABELS if is_fundus else GRADES,
            kind="multilabel" if is_fundus else "grades",
            num_views=2,
            table=pairs_table(names, names, left, right, ages, sexes),
            targets=targets,
            view_targets=view_targets,
            synthetic=True,
            root="",
            fingerprint=self._fingerprint(),
            load=_Drawing(self.seed, self.size_px),
            label_names=tuple(LABEL_NAMES.values()) if is_fundus else (),
            normal="N" if is_fundus else GRADES[0],
        )

    def _read_frames(self) -> Pairs:
        num_frames = [int(patient_rng(self.seed, i, 2).integers(2, 5)) for i in range(self.num_patients)]
        frames = [(patient, frame) for patient, num in enumerate(num_frames) for frame in range(num)]
        targets = one_hot(np.array([_class(self.seed, patient) for patient, _ in frames]), len(CLASSES))
        names = [f"{patient}-{frame}" for patient, frame in frames]
        patients = [str(patient) for patient, _ in frames]
        keys = [f"phantom/ultrasound/{patient}/{frame}" for patient, frame in frames]
        return Pairs(
            dataset="phantom",
            labels=CLASSES,
            kind="classes",
            num_views=1,
            table=pairs_table(names, patients, keys, [None] * len(keys)),
            targets=targets,
            view_targets=targets[:, None],
            synthetic=True,
            root="",
            fingerprint=self._fingerprint(),
            load=_Drawing(self.seed, self.size_px),
        )

    def _fingerprint(self) -> str:
        return digest("phantom", PICTURES_VERSION, self.variant, self.num_patients, self.seed, self.size_px)


def _class(seed: int, patient: int) -> int:
    """The class of a patient's eye; patients 2k and 2k + 1 have different ones."""
    return (patient + int(patient_rng(seed, patient // 2, 3).integers(2))) % 2


def _one_where_in(letters: str) -> Int8[np.ndarray, " l"]:
    """1 for each of `LABELS` that is among the letters, else 0."""
    return np.array([label in letters for label in LABELS], dtype=np.int8)


def _eye_targets(patient: Patient) -> Int8[np.ndarray, "2 l"]:
    """Labels of each eye: N without a finding; N and O unknown where O is a difference between the eyes."""
    targets = np.stack([_one_where_in(found or "N") for found in patient.findings])
    if patient.unequal:
        targets[:, [LABELS.index("N"), LABELS.index("O")]] = -1
    return targets
