"""Training, validation and test by patient, every label in fair share; a split can be edited as a file."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int, Int8

from study.data.pairs import Pairs
from study.data.sheets import read_sheet
from study.spec.errors import DataError, suggest

SPLITS = ("train", "val", "test")


def make_split(
    pairs: Pairs,
    *,
    val: float,
    test: float,
    seed: int,
    folds: int = 1,
    fold: int = 0,
    groups: Int[np.ndarray, " n"] | None = None,
) -> pd.DataFrame:
    """Assigns each sample to a split.

    Args:
        pairs: Samples with all labels known; all samples of a patient come to one split.
        val: Share of all patients for validation.
        test: Share of all patients for the test; with several folds it is 1 / folds.
        seed: Same pairs and seed, same split.
        folds: Number of folds; each patient is in the test split of exactly one.
        fold: The fold whose patients are the test split, from 0.
        groups: A number for each sample. Patients of one number come to one split, as one patient with the
            labels of all of them.

    Returns:
        One row a sample with the columns sample, patient and split and, with several folds, fold (the one in
            which
        the sample is in the test split).

    Raises:
        DataError: the shares leave nothing to train on, labels are unknown, or a label has too few patients
            for every split to hold one.
    """
    if folds > 1:
        test = 1 / folds
    if min(val, test) <= 0 or val + test >= 1 or not 0 <= fold < folds:
        raise DataError(
            "`data.split`: val and test (1 / folds) must be above 0 with a sum below 1, "
            f"and fold below folds, got val {val:g}, test {test:g}, folds {folds}, fold {fold}. Correct them."
        )
    patient, labels = _patients(pairs, groups)
    _require_patients(pairs, labels, max(len(SPLITS), folds))
    rng = np.random.default_rng(seed)
    if folds == 1:
        split = stratify(labels, [1 - val - test, val, test], rng)
    else:
        fold_of_patient = stratify(labels, [1 / folds] * folds, rng)
        fold_rng = np.random.default_rng([seed, fold])
        split = _split_of_fold(labels, fold_of_patient == fold, val / (1 - test), fold_rng)
    assignment = pairs.table[["sample", "patient"]].assign(split=np.array(SPLITS)[split[patient]])
    if folds > 1:
        assignment["fold"] = fold_of_patient[patient]
    _require_labels(pairs, assignment)
    return assignment


def _split_of_fold(
    labels: Int8[np.ndarray, "p l"],
    tested: Bool[np.ndarray, " p"],
    val_share: float,
    rng: np.random.Generator,
) -> Int[np.ndarray, " p"]:
    """The split of each patient, as position in `SPLITS`, where the test split is known."""
    split = np.full(len(labels), SPLITS.index("test"))
    split[~tested] = stratify(labels[~tested], [1 - val_share, val_share], rng)
    return split


def stratify(
    labels: Int8[np.ndarray, "n l"], shares: Sequence[float], rng: np.random.Generator
) -> Int[np.ndarray, " n"]:
    """The part of each row by iterative stratification.

    The rarest label comes first, each of its rows to the part that lacks it most. Ties go to the part that
    lacks most rows, then to chance. Rows without a label fill up the parts at the end.

    Source: Sechidis, Tsoumakas, Vlahavas 2011, On the stratification of multi-label data, algorithm 1.
    Differs: a part wants at least one row of each label, at the cost of the largest part, so that rare labels
    reach small parts.
    """
    n = len(labels)
    share = np.asarray(shares) / np.sum(shares)
    largest = int(share.argmax())
    want_rows = n * share
    want = _wanted(labels.sum(axis=0, dtype=np.int64), share, largest)
    part = np.full(n, -1)
    while (left := labels[part < 0].sum(axis=0, dtype=np.int64)).any():
        rarest = int(np.where(left > 0, left, n + 1).argmin())
        for row in rng.permutation(np.flatnonzero((part < 0) & (labels[:, rarest] == 1))):
            chosen = _most(want[rarest], want_rows, rng)
            part[row] = chosen
            want[:, chosen] -= labels[row]
            want_rows[chosen] -= 1
    for row in rng.permutation(np.flatnonzero(part < 0)):
        part[row] = _most(want_rows, want_rows, rng)
        want_rows[part[row]] -= 1
    return part


def read_split(path: Path, pairs: Pairs) -> pd.DataFrame:
    """The split of a file, in the order of the pairs.

    Samples that were skipped while the images were read may stand in the file.

    Raises:
        DataError: a split has another name, a sample is unknown, missing or named twice, a patient is in two
            splits, or a split lacks a label.
    """
    frame = read_sheet(path, ["sample", "split"], text=["sample", "patient", "split"])
    if "fold" in frame:
        frame = frame.assign(fold=pd.to_numeric(frame["fold"], errors="coerce"))
    for split in frame["split"].unique():
        if split not in SPLITS:
            hint = suggest(str(split), SPLITS)
            raise DataError(f"`{path}`: split must be train, val or test, got {split!r}. {hint}")
    samples, known = frame["sample"], pairs.table["sample"]
    _refuse(path, "each sample must stand once", samples[samples.duplicated()])
    skipped = {sample for names in pairs.skipped.values() for sample in names}
    _refuse(path, "each sample must be one of the data set", samples[~samples.isin({*known, *skipped})])
    _refuse(path, "each sample of the data set must have a split", known[~known.isin(samples)])
    assignment = pairs.table[["sample", "patient"]].merge(
        frame.drop(columns="patient", errors="ignore"), on="sample", how="left"
    )
    num_splits = assignment.groupby("patient")["split"].nunique()
    divided = pd.Series(num_splits[num_splits > 1].index)
    _refuse(path, "all samples of a patient must be in one split", divided)
    _require_labels(pairs, assignment)
    return assignment


def _wanted(
    counts: Int[np.ndarray, " l"], share: Float[np.ndarray, " p"], largest: int
) -> Float[np.ndarray, "l p"]:
    """Rows of each label that each part wants: its share, at least one; the largest part wants the rest."""
    want: Float[np.ndarray, "l p"] = np.maximum(counts[:, None] * share, 1.0)
    want[:, largest] = 0
    want[:, largest] = counts - want.sum(axis=1)
    return want


def _most(first: Float[np.ndarray, " p"], second: Float[np.ndarray, " p"], rng: np.random.Generator) -> int:
    """Position of the largest `first`, of these the largest `second`, of these any."""
    best = np.flatnonzero(np.isclose(first, first.max()))
    best = best[np.isclose(second[best], second[best].max())]
    return int(rng.choice(best))


def _patients(
    pairs: Pairs, groups: Int[np.ndarray, " n"] | None
) -> tuple[Int[np.ndarray, " n"], Int8[np.ndarray, "p l"]]:
    """Number of the patient (or group) of each sample, and the union of the labels of each patient."""
    unknown = (pairs.targets < 0).any(axis=1)
    if unknown.any():
        first = pairs.table["sample"].iloc[int(unknown.argmax())]
        raise DataError(
            "`data.root`: every label must be known to split a data set, "
            f"got {int(unknown.sum())} samples with unknown ones, "
            f"the first {first!r}. Fill the cells or remove the rows."
        )
    patient, patients = pd.factorize(pairs.table["patient"] if groups is None else groups)
    labels = np.zeros((len(patients), len(pairs.labels)), dtype=np.int8)
    np.maximum.at(labels, patient, pairs.targets)
    return patient, labels


def _require_patients(pairs: Pairs, labels: Int8[np.ndarray, "p l"], least: int) -> None:
    counts = zip(labels.sum(axis=0), pairs.labels, strict=True)
    few = [f"{int(count)} of {name}" for count, name in counts if count < least]
    if few or not pairs.labels:
        raise DataError(
            f"`data.split`: each label needs at least {least} patients, one for each split or fold, "
            f"got {', '.join(few) or 'no labels'}. Add patients or leave the label out."
        )


def _require_labels(pairs: Pairs, assignment: pd.DataFrame) -> None:
    totals = dict(zip(pairs.labels, pairs.targets.sum(axis=0), strict=True))
    for split in SPLITS:
        counts = pairs.targets[(assignment["split"] == split).to_numpy()].sum(axis=0)
        lacking = [name for name, count in zip(pairs.labels, counts, strict=True) if count < 1]
        if lacking:
            named = ", ".join(f"{name} ({int(totals[name])} samples in all)" for name in lacking)
            raise DataError(
                f"`data.split`: each split must hold every label, got none in {split} of {named}. "
                "Use more patients or larger shares."
            )


def _refuse(path: Path, rule: str, wrong: pd.Series) -> None:
    if len(wrong):
        raise DataError(
            f"`{path}`: {rule}, got {len(wrong)} against it, the first {wrong.iloc[0]!r}. Correct the file."
        )
