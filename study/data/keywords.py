"""Labels of one eye from the diagnostic keywords of ODIR-5K.

The sheet labels patients; the keywords tell which eye has which disease. With this rule the union over both
eyes gives the patient's labels for all patients of the public training sheet except one, whose eyes are both
of `low image quality`.

Source: OIA-ODIR (arXiv 2102.07978), the annotation sheet and its README.
"""

import re

import numpy as np
from jaxtyping import Int8

LABEL_NAMES = {
    "N": "normal",
    "D": "diabetic retinopathy",
    "G": "glaucoma",
    "C": "cataract",
    "A": "macular degeneration",
    "H": "hypertensive retinopathy",
    "M": "pathological myopia",
    "O": "other finding",
}
LABELS = tuple(LABEL_NAMES)
COMMA = re.compile("[,，]")
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
    """Label of one keyword: N, the disease whose phrase the keyword contains, or else O (for drusen, too).

    It is None where the keyword says nothing about the eye.
    """
    if keyword == NORMAL:
        return "N"
    if keyword in UNUSABLE:
        return None
    return next((label for phrase, label in PHRASES if phrase in keyword), "O")


def eye_labels(keywords: str) -> Int8[np.ndarray, " l"]:
    """0 or 1 for each of `LABELS`; -1 (unknown) for all of them where an eye has no usable keyword.

    An eye with a disease is not N.

    Args:
        keywords: Keywords between commas, which may be full-width ones.
    """
    parts = (" ".join(part.split()).lower() for part in COMMA.split(keywords))
    found = {label for part in parts if part and (label := keyword_label(part))}
    if not found:
        return np.full(len(LABELS), -1, dtype=np.int8)
    if len(found) > 1:
        found.discard("N")
    return np.array([label in found for label in LABELS], dtype=np.int8)
