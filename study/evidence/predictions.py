"""Predictions and embeddings of one trial in memory, to their tables and back."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
from jaxtyping import Bool, Float, Int8

from study.evidence.arrow_tables import list_column, matrix_of
from study.evidence.schema import EMBEDDINGS, PREDICTIONS

UNKNOWN = -1  # target of a label of which nobody knows whether the sample carries it
NETWORK = "network"  # the head that a network was trained with
PRIOR = "prior"  # the head of the baseline that predicts the class prior


@dataclass(frozen=True, kw_only=True)
class Predictions:
    """What one head of a trial says about the samples of one split.

    Attributes:
        trial: Key of the trial.
        head: `network`, `prior`, or the name of a post-hoc head.
        setting: Setting of a post-hoc head, such as `k=5, cosine, uniform`; else empty.
        split: Name of the split: val, test or new.
        sample: Unique name of each sample.
        patient: Patient that each sample belongs to.
        target: 1 where the sample carries the label, 0 where it does not, -1 where that is unknown.
        score: Probability of each label.
        synthetic: Whether the images are drawn.
    """

    trial: str
    head: str
    setting: str
    split: str
    sample: Sequence[str]
    patient: Sequence[str]
    target: Int8[np.ndarray, "n l"]
    score: Float[np.ndarray, "n l"]
    synthetic: bool

    def table(self) -> pa.Table:
        """The rows of `predictions.parquet`."""
        num_samples = len(self.sample)
        columns = {
            "trial": _repeated(self.trial, num_samples),
            "head": _repeated(self.head, num_samples),
            "setting": _repeated(self.setting, num_samples),
            "split": _repeated(self.split, num_samples),
            "sample": pa.array(self.sample, pa.string()),
            "patient": pa.array(self.patient, pa.string()),
            "target": list_column(self.target, missing=UNKNOWN),
            "score": list_column(self.score.astype(np.float32)),
            "synthetic": pa.array(np.full(num_samples, self.synthetic)),
        }
        return pa.table(columns, schema=PREDICTIONS)

    def known(self) -> "Predictions":
        """Only the samples of which every label is known."""
        return self._only(_all_known(self.target))

    def among(self, samples: Collection[str]) -> "Predictions":
        """Only the samples with these names."""
        return self._only(np.array([name in samples for name in self.sample], dtype=bool))

    def _only(self, rows: Bool[np.ndarray, " n"]) -> "Predictions":
        return replace(
            self,
            sample=_kept(self.sample, rows),
            patient=_kept(self.patient, rows),
            target=self.target[rows],
            score=self.score[rows],
        )


@dataclass(frozen=True, kw_only=True)
class Embeddings:
    """The embeddings that a trial's network gives the samples of one split.

    Attributes:
        trial: Key of the trial.
        split: Name of the split: train, val, test or new.
        sample: Unique name of each sample.
        patient: Patient that each sample belongs to.
        target: 1 where the sample carries the label, 0 where it does not, -1 where that is unknown.
        embedding: Embedding of each sample.
        synthetic: Whether all images are drawn or generated.
        generated: Whether each image was generated; None where none was, or where `synthetic` says it of all.
    """

    trial: str
    split: str
    sample: Sequence[str]
    patient: Sequence[str]
    target: Int8[np.ndarray, "n l"]
    embedding: Float[np.ndarray, "n d"]
    synthetic: bool
    generated: Bool[np.ndarray, " n"] | None = None

    def table(self) -> pa.Table:
        """The rows of `embeddings.parquet`."""
        num_samples = len(self.sample)
        synthetic = np.full(num_samples, self.synthetic)
        if self.generated is not None:
            synthetic |= self.generated
        columns = {
            "trial": _repeated(self.trial, num_samples),
            "split": _repeated(self.split, num_samples),
            "sample": pa.array(self.sample, pa.string()),
            "patient": pa.array(self.patient, pa.string()),
            "target": list_column(self.target, missing=UNKNOWN),
            "embedding": list_column(self.embedding.astype(np.float32)),
            "synthetic": pa.array(synthetic),
        }
        return pa.table(columns, schema=EMBEDDINGS)

    def known(self) -> "Embeddings":
        """Only the samples of which every label is known; this object itself where that is all of them."""
        rows = _all_known(self.target)
        if rows.all():
            return self
        return replace(
            self,
            sample=_kept(self.sample, rows),
            patient=_kept(self.patient, rows),
            target=self.target[rows],
            embedding=self.embedding[rows],
            generated=None if self.generated is None else self.generated[rows],
        )


def predictions_of(table: pa.Table) -> list[Predictions]:
    """One `Predictions` for each trial, head, setting and split of a table read with all its columns."""
    return [
        Predictions(
            **shared,
            sample=rows["sample"].to_pylist(),
            patient=rows["patient"].to_pylist(),
            target=matrix_of(rows["target"], missing=UNKNOWN),
            score=matrix_of(rows["score"]),
            synthetic=rows["synthetic"][0].as_py(),
        )
        for shared, rows in _groups(table, ["trial", "head", "setting", "split"])
    ]


def embeddings_of(table: pa.Table) -> list[Embeddings]:
    """One `Embeddings` for each trial and split of a table read with all its columns."""
    found = []
    for shared, rows in _groups(table, ["trial", "split"]):
        synthetic = rows["synthetic"].to_numpy()
        embeddings = Embeddings(
            **shared,
            sample=rows["sample"].to_pylist(),
            patient=rows["patient"].to_pylist(),
            target=matrix_of(rows["target"], missing=UNKNOWN),
            embedding=matrix_of(rows["embedding"]),
            synthetic=bool(synthetic.all()),
            generated=synthetic if len(np.unique(synthetic)) > 1 else None,
        )
        found.append(embeddings)
    return found


def _groups(table: pa.Table, columns: list[str]) -> Iterator[tuple[dict[str, str], pa.Table]]:
    """The rows that agree in the columns, with what they agree in; groups in the order of their first row."""
    table = table.combine_chunks()
    codes = np.zeros(len(table), dtype=np.int64)
    for name in columns:
        encoded = table[name].combine_chunks().dictionary_encode()
        codes = codes * max(1, len(encoded.dictionary)) + encoded.indices.to_numpy(zero_copy_only=False)
    _, first, group, count = np.unique(codes, return_index=True, return_inverse=True, return_counts=True)
    in_order = np.argsort(first)
    rank = np.empty_like(in_order)
    rank[in_order] = np.arange(len(in_order))
    order = np.argsort(rank[group], kind="stable")
    if (np.diff(order) < 0).any():  # most tables hold their groups one after the other already
        table = table.take(pa.array(order))
    for end, length in zip(np.cumsum(count[in_order]), count[in_order], strict=True):
        rows = table.slice(end - length, length)
        yield {name: rows[name][0].as_py() for name in columns}, rows


def _all_known(target: Int8[np.ndarray, "n l"]) -> Bool[np.ndarray, " n"]:
    return np.asarray((target != UNKNOWN).all(axis=1))


def _kept(names: Sequence[str], rows: Bool[np.ndarray, " n"]) -> list[str]:
    return [name for name, keep in zip(names, rows, strict=True) if keep]


def _repeated(value: str, num_rows: int) -> pa.Array:
    return pa.repeat(pa.scalar(value, pa.string()), num_rows)
