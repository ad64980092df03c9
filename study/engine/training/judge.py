"""The judge of a trial, made from its specification: what validation measures to choose epochs and trials."""

from collections.abc import Sequence
from typing import Any

from study.evidence.objective import Judge, read_objective
from study.evidence.predictions import Embeddings
from study.evidence.retrieval import retrieval_rows
from study.spec.posthoc import head_words
from study.spec.task import LabelKind, RetrievalSpec
from study.spec.trial_spec import TrialSpec


def judge_of(spec: TrialSpec, kind: LabelKind, *, trains_head: bool) -> Judge:
    """The judge of a trial.

    Args:
        spec: The trial.
        kind: Kind of the labels.
        trains_head: Whether the trial's loss trains the network's own head.

    Raises:
        SpecError: There is no such objective or head, or the task does not suit the labels.
    """
    task = spec.task
    return Judge(
        objective=read_objective(spec.objective, kind, task),
        kind=kind,
        trains_head=trains_head,
        heads=tuple(head_words(spec.heads)),
        retrieval=task if isinstance(task, RetrievalSpec) else RetrievalSpec(),
        thresholds=spec.thresholds,
    )


def retrieval_scores(
    judge: Judge,
    spec: TrialSpec,
    references: Embeddings,
    queries: Sequence[Embeddings],
    labels: Sequence[str],
) -> list[dict[str, Any]]:
    """Rows of SCORES with every measure of retrieval; no rows for another task.

    Args:
        judge: Judge of the trial.
        spec: The trial.
        references: Samples to search.
        queries: Samples to search for, one part for each split.
        labels: Names of the grades.
    """
    if not isinstance(spec.task, RetrievalSpec):
        return []
    rows = []
    for query in queries:
        rows += retrieval_rows(judge.ranking(query, references), query, judge.retrieval.distance, labels)
    return rows
