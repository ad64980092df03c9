"""Whether the two eyes of a patient differ, by each eye's own labels."""

from typing import Literal, TypeAlias

import numpy as np
from jaxtyping import Int8

from study.data.pairs import Pairs

Findings: TypeAlias = Literal["asymmetric", "symmetric", "normal"]


def findings_of(pairs: Pairs) -> list[Findings | None]:
    """What both eyes of each sample show together.

    `asymmetric`: a label is known of both eyes, and only one of them has it. `normal`: each eye has the label
    of an eye without findings and no other. `symmetric`: both eyes have the same other labels. It is None
    where no known label differs and some are unknown, and where a sample does not show two eyes.

    Labels are all that is compared: two diseases that share a label, such as O of ODIR-5K, count as the same,
    and so do two degrees of one disease.
    """
    if pairs.num_views == 1:
        return [None] * len(pairs)
    return [
        None if None in keys else _findings(left, right, _place(pairs))
        for keys, (left, right) in zip(pairs.keys, pairs.view_targets, strict=True)
    ]


def _place(pairs: Pairs) -> int | None:
    """Place of the label of an eye without findings."""
    return pairs.labels.index(pairs.normal) if pairs.normal else None


def _findings(
    left: Int8[np.ndarray, " l"], right: Int8[np.ndarray, " l"], normal: int | None
) -> Findings | None:
    known = (left >= 0) & (right >= 0)
    if (left != right)[known].any():
        return "asymmetric"
    if not known.all():
        return None
    return "normal" if normal is not None and left[normal] and left.sum() == 1 else "symmetric"
