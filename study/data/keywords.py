"""Labels of one eye from the diagnostic keywords of ODIR-5K.

The sheet labels patients; the keywords tell which eye has what. With this rule the union over both eyes gives the
patient's labels for all but one patient of the public training sheet (whose eyes are both of `low image quality`).

Source: OIA-ODIR (arXiv 2102.07978), the annotation sheet and its README.
"""

import re

import numpy as np
from jaxtyping import Int8

LABELS = ("N", "D", "G", "C", "A", "H", "M", "O")
SEPARATOR = re.compile("[,，]")
NORMAL = "normal fundus"
UNUSABLE = frozenset(
    {
        "lens dust",
        "low image quality",
        "image offset",
        "anterior segment image",
        "no fundus image",
        "optic disk photographically invisible",
    }
)
PHRASES = (
    ("proliferative retinopathy", "D"),  # also within "nonproliferative"
    ("diabetic retinopathy", "D"),
    ("glaucoma", "G"),  # suspected glaucoma counts
    ("cataract", "C"),
    ("age-related macular degeneration", "A"),
    ("hypertensive retinopathy", "H"),
    ("myopi", "M"),
)


def keyword_label(keyword: str) -> str | None:
    """Label of one keyword: N, the disease whose phrase it contains, None where it says nothing of the eye, else O (drusen too)."""
    if keyword == NORMAL:
        return "N"
    if keyword in UNUSABLE:
        return None
    return next((label for phrase, label in PHRASES if phrase in keyword), "O")


def eye_labels(keywords: str) -> Int8[np.ndarray, " l"]:
    """0 or 1 for each of `LABELS`, from keywords parted by a comma (the full-width one too); N only without a disease.

    An eye without a usable keyword gets -1 (unknown) everywhere.
    """
    parts = (" ".join(part.split()).lower() for part in SEPARATOR.split(keywords))
    found = {label for part in parts if part and (label := keyword_label(part))}
    if not found:
        return np.full(len(LABELS), -1, dtype=np.int8)
    if len(found) > 1:
        found.discard("N")
    return np.array([label in found for label in LABELS], dtype=np.int8)
