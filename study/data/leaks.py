"""Three splits with one test set, which differ in whether images of the test patients are trained on."""

import numpy as np
import pandas as pd
from jaxtyping import Int

from study.data.pairs import Pairs
from study.data.split import SPLITS, stratify
from study.spec.errors import DataError

BY_PATIENT, BY_NAME, BY_IMAGE = "by patient", "by patient id", "by image"
LEAST_SHARE = 0.3  # of the drawn training images; with fewer, another question would be answered
LEAKS = (BY_PATIENT, BY_NAME, BY_IMAGE)
"""The splits, the one without a leak first."""


def leaking_splits(
    pairs: Pairs, groups: Int[np.ndarray, " n"], *, val: float, test: float, seed: int
) -> dict[str, pd.DataFrame]:
    """The splits of `LEAKS`: the same images for test and for validation, and as many for training.

    Images are divided at random, as if each were a patient of its own. By patient, training then lacks every
    image of a group that the test has. By patient id, it has those whose patient was entered under
    another id. By image, it has all of them. As many other images are left out as make the training sets
    equally large. Validation has no image of the test's groups.

    Args:
        pairs: Samples of one image each.
        groups: A number for each sample, as `audit.duplicate_groups` gives.
        val: Share of the images for validation.
        test: Share of the images for the test.
        seed: Same pairs and seed, same splits.

    Raises:
        DataError: Without the images of test patients, too few are left to train on.

    Returns:
        Sample, patient and split of each sample, by the name of the split; the split of a sample that is left
        out is empty.
    """
    rng = np.random.default_rng(seed)
    drawn = np.array(SPLITS)[stratify(np.maximum(pairs.targets, 0), [1 - val - test, val, test], rng)]
    tested = drawn == "test"
    patient = pairs.table["patient"].to_numpy()
    of_group = np.isin(groups, groups[tested]) & ~tested
    of_patient = np.isin(patient, patient[tested]) & ~tested
    training = drawn == "train"
    free = rng.permutation(np.flatnonzero(training & ~of_group))
    if len(free) < LEAST_SHARE * training.sum():
        raise DataError(
            f"`data.split`: {LEAST_SHARE:.0%} of the training images must show no test patient, got "
            f"{len(free)} of {training.sum()}. Take a smaller `data.split.test`."
        )
    leaks = {BY_PATIENT: np.zeros_like(tested), BY_NAME: of_group & ~of_patient, BY_IMAGE: of_group}
    found = {}
    for name, leak in leaks.items():
        leaked = rng.permutation(np.flatnonzero(training & leak))[: len(free)]
        split = np.where((drawn != "train") & ~of_group, drawn, "")  # the test is in none of these groups
        split[np.concatenate([leaked, free[: len(free) - len(leaked)]])] = "train"
        found[name] = pairs.table[["sample", "patient"]].assign(split=split)
    return found
