"""Heads that nobody asked for when the study ran, fitted on the stored embeddings of its trials. Never a training."""

from collections.abc import Iterator, Sequence

import pyarrow as pa

from study.evidence.heads import fit_heads, known_heads
from study.evidence.metrics import LabelKind
from study.evidence.predictions import embeddings_of
from study.evidence.store import Store


def add_heads(
    store: Store,
    trials: Sequence[str],
    heads: Sequence[str],
    kind: LabelKind,
    labels: Sequence[str],
    objective_name: str,
) -> Iterator[tuple[str, str]]:
    """Fits the heads that the trials lack and keeps what they say in the run.

    Args:
        store: the run.
        trials: keys of complete trials.
        heads: names of heads, or `all`.
        kind: of the labels.
        labels: their names.
        objective_name: the metric on validation that chooses each head's setting.

    Yields:
        trial and head before each is fitted.

    Raises:
        SpecError: an unknown head.
        StorageError: the run cannot be written.
    """
    wanted = known_heads(heads)
    for trial in trials:
        there = set(store.read("scores", [trial], ["head"])["head"])
        missing = [head for head in wanted if head not in there]
        parts = (
            {e.split: e for e in embeddings_of(store.read_table("embeddings", [trial]))} if missing else {}
        )
        if not {"train", "val"} <= set(parts):
            continue
        queries = [e for split, e in parts.items() if split != "train"]
        for head in missing:
            yield trial, head
            found = fit_heads(parts["train"], queries, kind, labels, (head,), objective_name)
            store.add_head(trial, head, pa.concat_tables(p.table() for p in found.predictions), found.scores)
