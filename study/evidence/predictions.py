"""Predictions and embeddings of one trial in memory, to and from their tables."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from jaxtyping import Bool, Float, Int8

from study.evidence.conform import list_column, matrix_of
from study.evidence.schema import EMBEDDINGS, PREDICTIONS

UNKNOWN = -1


@dataclass(frozen=True)
class Predictions:
    """What one head of a trial says about the samples of one split.

    Attributes:
        trial: the trial's key.
        head: `network`, `prior`, or the name of a post-hoc head.
        setting: of a post-hoc head, such as `k=5, cosine, uniform`; else empty.
        split: val, test or new.
        sample: unique name of each sample.
        patient: whom each sample belongs to.
        target: 1 where the sample carries the label, 0 where it does not, -1 where that is unknown.
        score: probability of each label.
        synthetic: true when the images are not real.
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
        columns = {
            **_repeated(
                len(self.sample), trial=self.trial, head=self.head, setting=self.setting, split=self.split
            ),
            "sample": pa.array(self.sample, pa.string()),
            "patient": pa.array(self.patient, pa.string()),
            "target": list_column(self.target, missing=UNKNOWN),
            "score": list_column(self.score.astype(np.float32)),
            "synthetic": pa.array(np.full(len(self.sample), self.synthetic)),
        }
        return pa.table(columns, schema=PREDICTIONS)

    def known(self) -> "Predictions":
        """Only the samples of which every label is known."""
        rows = (self.target != UNKNOWN).all(axis=1)
        where = (
            self.trial,
            self.head,
            self.setting,
            self.split,
            _kept(self.sample, rows),
            _kept(self.patient, rows),
        )
        return Predictions(*where, self.target[rows], self.score[rows], self.synthetic)


@dataclass(frozen=True)
class Embeddings:
    """The embeddings that a trial's network gives the samples of one split; fields as in `Predictions`.

    Attributes:
        synthetic: true when no image is real.
        generated: whether a sample's image was generated, on a training side with such ones.
    """

    trial: str
    split: str
    sample: Sequence[str]
    patient: Sequence[str]
    target: Int8[np.ndarray, "n l"]
    embedding: Float[np.ndarray, "n d"]
    synthetic: bool
    generated: Bool[np.ndarray, " n"] | None = None

    def known(self) -> "Embeddings":
        """Only the samples of which every label is known."""
        rows = (self.target != UNKNOWN).all(axis=1)
        sample, patient = _kept(self.sample, rows), _kept(self.patient, rows)
        generated = None if self.generated is None else self.generated[rows]
        return Embeddings(
            self.trial,
            self.split,
            sample,
            patient,
            self.target[rows],
            self.embedding[rows],
            self.synthetic,
            generated,
        )

    def table(self) -> pa.Table:
        """The rows of `embeddings.parquet`."""
        columns = {
            **_repeated(len(self.sample), trial=self.trial, split=self.split),
            "sample": pa.array(self.sample, pa.string()),
            "patient": pa.array(self.patient, pa.string()),
            "target": list_column(self.target, missing=UNKNOWN),
            "embedding": list_column(self.embedding.astype(np.float32)),
            "synthetic": pa.array(
                np.full(len(self.sample), self.synthetic)
                if self.generated is None
                else self.generated | self.synthetic
            ),
        }
        return pa.table(columns, schema=EMBEDDINGS)


def joined(parts: Sequence[Embeddings], split: str) -> Embeddings:
    """The samples of all parts, one part after the other, as one split of the first part's trial."""
    sample = [s for part in parts for s in part.sample]
    patient = [p for part in parts for p in part.patient]
    target, embedding = (
        np.concatenate([getattr(part, name) for part in parts]) for name in ("target", "embedding")
    )
    return Embeddings(parts[0].trial, split, sample, patient, target, embedding, parts[0].synthetic)


def _repeated(num_rows: int, **values: str) -> dict[str, pa.Array]:
    return {name: pa.repeat(pa.scalar(value, pa.string()), num_rows) for name, value in values.items()}


def _kept(names: Sequence[str], rows: Bool[np.ndarray, " n"]) -> list[str]:
    return [name for name, keep in zip(names, rows, strict=True) if keep]


def predictions_of(table: pa.Table) -> list[Predictions]:
    """One `Predictions` for each trial, head, setting and split of a table read with all its columns."""
    return [
        Predictions(
            **where,
            sample=part["sample"].to_pylist(),
            patient=part["patient"].to_pylist(),
            target=matrix_of(part["target"], missing=UNKNOWN),
            score=matrix_of(part["score"]),
            synthetic=part["synthetic"][0].as_py(),
        )
        for where, part in _parts(table, ["trial", "head", "setting", "split"])
    ]


def embeddings_of(table: pa.Table) -> list[Embeddings]:
    """One `Embeddings` for each trial and split of a table read with all its columns."""
    return [
        Embeddings(
            **where,
            sample=part["sample"].to_pylist(),
            patient=part["patient"].to_pylist(),
            target=matrix_of(part["target"], missing=UNKNOWN),
            embedding=matrix_of(part["embedding"]),
            synthetic=bool(synthetic.all()),
            generated=synthetic if len(np.unique(synthetic)) > 1 else None,
        )
        for where, part in _parts(table, ["trial", "split"])
        for synthetic in [part["synthetic"].to_numpy()]
    ]


def _parts(table: pa.Table, columns: list[str]) -> Iterator[tuple[dict[str, str], pa.Table]]:
    """The runs of rows that agree in the columns, in the order of their first row."""
    table = table.combine_chunks()
    codes = np.zeros(len(table), dtype=np.int64)
    for name in columns:
        encoded = table[name].combine_chunks().dictionary_encode()
        codes = codes * max(1, len(encoded.dictionary)) + encoded.indices.to_numpy(zero_copy_only=False)
    _, first, place, count = np.unique(codes, return_index=True, return_inverse=True, return_counts=True)
    in_order = np.argsort(first)  # parts by their first row
    rank = np.empty_like(in_order)
    rank[in_order] = np.arange(len(in_order))
    order = np.argsort(rank[place], kind="stable")
    if (np.diff(order) < 0).any():
        table = table.take(pa.array(order))
    for end, length in zip(np.cumsum(count[in_order]), count[in_order], strict=True):
        rows = table.slice(end - length, length)
        yield {name: rows[name][0].as_py() for name in columns}, rows
