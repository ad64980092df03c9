"""Heads that are added to a finished run, fitted on the stored embeddings of its trials."""

from collections.abc import Iterator, Sequence

import pyarrow as pa

from study.evidence.heads import fit_heads
from study.evidence.predictions import embeddings_of
from study.evidence.store import Store
from study.spec.posthoc import head_words
from study.spec.task import LabelKind, ThresholdRule


def add_heads(
    store: Store,
    trials: Sequence[str],
    heads: Sequence[str],
    kind: LabelKind,
    labels: Sequence[str],
    chooser: str,
    rule: ThresholdRule,
) -> Iterator[tuple[str, str]]:
    """Fits the heads that the trials lack and keeps their predictions and scores in the run.

    Args:
        store: Store of the run.
        trials: Keys of complete trials.
        heads: Heads in one word each (`knn`, `knn k=2`), or `all`.
        kind: Kind of the labels.
        labels: Names of the labels.
        chooser: Metric on validation that chooses the setting of each head.
        rule: Rule of the thresholds of the decisions.

    Yields:
        Trial and head, before the head is fitted.

    Raises:
        SpecError: A head is unknown.
        StorageError: The run cannot be written to.
    """
    wanted = head_words(heads)
    for trial in trials:
        present = set(store.read("scores", [trial], ["head"])["head"])
        missing = [head for head in wanted if head not in present]
        if not missing:
            continue
        splits = {e.split: e for e in embeddings_of(store.read_table("embeddings", [trial]))}
        if not {"train", "val"} <= set(splits):
            continue
        queries = [embeddings for split, embeddings in splits.items() if split != "train"]
        for head in missing:
            yield trial, head
            found = fit_heads(splits["train"], queries, kind, labels, (head,), chooser, rule)
            predictions = pa.concat_tables(p.table() for p in found.predictions)
            store.add_head(trial, head, predictions, found.scores)
