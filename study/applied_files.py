"""The files of what a finished trial says of new samples."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from jaxtyping import Bool

from study.evidence.arrow_tables import list_column
from study.evidence.predictions import Predictions
from study.evidence.schema import APPLIED
from study.evidence.store import Store
from study.spec.errors import StorageError


@dataclass(frozen=True)
class Out:
    """Where the Parquet file goes.

    Attributes:
        store: The run.
        path: A file of one's own; None writes into the run.
        dataset: Name of the file in the run.
    """

    store: Store
    path: Path | None
    dataset: str


def written(
    predictions: Predictions,
    decided: Bool[np.ndarray, "n l"],
    labels: tuple[str, ...],
    csv: Path | None,
    out: Out | None,
) -> Iterator[str]:
    """Writes what is asked for, and gives each place.

    Args:
        predictions: What the trial says.
        decided: Whether each sample is said to carry each label.
        labels: Names of the labels.
        csv: File for the probabilities in the form of ODIR-5K's submissions, if any.
        out: Where the predictions go as Parquet, if anywhere.

    Raises:
        StorageError: A place cannot be written to.
    """
    if csv:
        _write_csv(predictions, labels, csv)
        yield str(csv)
    if out:
        yield _write(predictions, decided, out)


def _write_csv(predictions: Predictions, labels: tuple[str, ...], path: Path) -> None:
    """The form in which ODIR-5K takes submissions: a line for each sample, a column for each label."""
    frame = pd.DataFrame(predictions.score, columns=list(labels))
    frame.insert(0, "ID", predictions.sample)
    try:
        frame.to_csv(path, index=False, float_format="%.6f", lineterminator="\n")
    except OSError as error:
        raise StorageError(
            f"`--csv`: must be a file that can be written, got `{path}` ({error}). Name another one."
        ) from None


def _write(predictions: Predictions, decided: Bool[np.ndarray, "n l"], out: Out) -> str:
    """Writes the predictions and what is decided from them as Parquet, and gives the place."""
    table = predictions.table().append_column(APPLIED.field("decided"), list_column(decided))
    store, name = out.store, f"predictions/{out.dataset}.parquet"
    try:
        if out.path is not None:
            pq.write_table(table, out.path, compression="zstd")
            return str(out.path)
        store.write_file(
            name, lambda path: pq.write_table(table, path, filesystem=store.filesystem, compression="zstd")
        )
    except OSError as error:
        raise StorageError(
            f"`--out`: must be a place to write to, got `{out.path or store.where}` ({error}). "
            "Name another one."
        ) from None
    return store.place(name)
