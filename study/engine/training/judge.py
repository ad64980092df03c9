"""How a trial's specification says that it is judged."""

from collections.abc import Sequence
from typing import Any

from study.evidence.heads import known_heads
from study.evidence.judging import Judge, read_objective
from study.evidence.metrics import LabelKind
from study.evidence.predictions import Embeddings
from study.evidence.retrieval import Gallery, retrieval_rows
from study.spec.task import RetrievalSpec
from study.spec.trial_spec import TrialSpec


def judge_of(spec: TrialSpec, kind: LabelKind, trains_head: bool) -> Judge:
    """The judge of a trial.

    Args:
        spec: the trial.
        kind: of the labels.
        trains_head: whether its loss trains the network's own head.

    Raises:
        SpecError: there is no such objective or head, or the task does not suit the labels.
    """
    task = spec.task
    gallery = (
        Gallery(task.distance, task.exclude_same_patient) if isinstance(task, RetrievalSpec) else Gallery()
    )
    return Judge(
        read_objective(spec.objective, kind, isinstance(task, RetrievalSpec)),
        kind,
        trains_head,
        known_heads(spec.heads),
        gallery,
    )


def retrieved(
    judge: Judge, spec: TrialSpec, gallery: Embeddings, queries: Sequence[Embeddings], labels: Sequence[str]
) -> list[dict[str, Any]]:
    """Rows of SCORES with every measure of retrieval; none for another task."""
    if not isinstance(spec.task, RetrievalSpec):
        return []
    return [
        row
        for q in queries
        for row in retrieval_rows(judge.ranking(q, gallery), q, judge.gallery.distance, labels)
    ]
