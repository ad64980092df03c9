"""What a study optimises on validation, and the judge that computes it for a trial.

The name of an objective is a metric (`macro_average_precision`), a metric by the best head
(`best_head.macro_average_precision`), or, for the task retrieval, one of its measures
(`macro_map_possible@10`).
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float

from study.evidence.heads import ChosenHead, choose_settings
from study.evidence.metrics import DEFAULT_OBJECTIVE, aggregate_metric, metric_value
from study.evidence.predictions import NETWORK, Embeddings
from study.evidence.retrieval import (
    DEFAULT_RETRIEVAL,
    Ranking,
    is_retrieval,
    rank_references,
    retrieval_means,
    retrieval_measures,
)
from study.spec.errors import SpecError, suggest
from study.spec.posthoc import read_head
from study.spec.task import LabelKind, RetrievalSpec, Task, ThresholdRule

BEST_HEAD = "best_head."


@dataclass(frozen=True)
class Objective:
    """What a study optimises.

    Attributes:
        name: Name of the objective, as in the study file.
        measure: The metric, or the measure of retrieval, in the name.
        by: Whose value counts: that of the network's own head, of the best head, or of retrieval.
    """

    name: str
    measure: str
    by: Literal["own_head", "best_head", "retrieval"]


def read_objective(name: str | None, kind: LabelKind, task: Task) -> Objective:
    """The objective of that name; without a name, the default of the task and the kind of labels.

    Args:
        name: Name of the objective in the study file.
        kind: Kind of the labels.
        task: Task of the study.

    Raises:
        SpecError: There is no such objective, smaller values of it are better, or the task is retrieval among
            samples with several labels.
    """
    retrieves = isinstance(task, RetrievalSpec)
    if retrieves and kind == "multilabel":
        raise SpecError(
            "`task`: retrieval needs one class or grade a sample, got multilabel data. "
            "Take `task: classification`."
        )
    name = name or (DEFAULT_RETRIEVAL if retrieves else DEFAULT_OBJECTIVE[kind])
    if is_retrieval(name):
        if not retrieves:
            raise SpecError(
                f"`objective`: `{name}` needs `task: retrieval`, got the task classification. Set the task."
            )
        return Objective(name, name, "retrieval")
    if "@" in name:
        near = suggest(name, retrieval_measures())
        raise SpecError(f"`objective`: must be a measure of retrieval, got `{name}`. {near}")
    measure = measure_of(name)
    if not aggregate_metric(measure, kind, "objective").greater_is_better:
        raise SpecError(
            f"`objective`: must be a metric whose greater values are better, got `{name}`. "
            "Take its complement."
        )
    return Objective(name, measure, "best_head" if name.startswith(BEST_HEAD) else "own_head")


def measure_of(name: str) -> str:
    """The metric, or the measure of retrieval, in the name of an objective."""
    return name.removeprefix(BEST_HEAD)


@dataclass(frozen=True, kw_only=True)
class Judge:
    """Finds a trial's value on validation, and the head that stands for the trial.

    Attributes:
        objective: What the study optimises.
        kind: Kind of the labels.
        trains_head: Whether the loss trains the network's own head; otherwise the first nearest neighbours
            of the heads stand in for it, else `knn`.
        heads: Post-hoc heads that the study asks for, each in one word.
        retrieval: How references are ranked for a query.
        thresholds: Rule of the thresholds of the decisions that a metric may need.
    """

    objective: Objective
    kind: LabelKind
    trains_head: bool
    heads: tuple[str, ...]
    retrieval: RetrievalSpec
    thresholds: ThresholdRule

    @property
    def candidates(self) -> tuple[str, ...]:
        """The post-hoc heads that may stand for a trial."""
        by_best_head = self.objective.by == "best_head"
        if by_best_head and self.heads:
            return self.heads
        if self.trains_head:
            return ()
        return (next((head for head in self.heads if read_head(head).neighbours), "knn"),)

    @property
    def chooser(self) -> str:
        """The metric on validation that chooses the settings of heads."""
        return DEFAULT_OBJECTIVE[self.kind] if self.objective.by == "retrieval" else self.objective.measure

    def value(
        self, score: Float[np.ndarray, "n l"], val: Embeddings, train: Callable[[], Embeddings]
    ) -> float:
        """The objective on validation; NaN for a network that has diverged.

        Args:
            score: Scores of the network's own head on validation.
            val: Embeddings of the validation samples.
            train: Makes the embeddings of the training samples; called only where they are needed.
        """
        if not np.isfinite(val.embedding).all():
            return math.nan
        if self.objective.by == "retrieval":
            return float(retrieval_means(self.ranking(val, train()), self.objective.measure)[0])
        best: Mapping[str, ChosenHead] = {}
        if self.candidates:
            best = choose_settings(train(), val, self.kind, self.candidates, self.chooser, self.thresholds)
        return self.choose_head(score, val, best).value

    def ranking(self, queries: Embeddings, references: Embeddings) -> Ranking:
        """The references ranked for each query."""
        return rank_references(references, queries, self.retrieval)

    def choose_head(
        self, score: Float[np.ndarray, "n l"], val: Embeddings, best: Mapping[str, ChosenHead]
    ) -> ChosenHead:
        """The best of the candidates and of the network's own head, if trained; of equal ones the first.

        Args:
            score: Scores of the network's own head on validation.
            val: Embeddings of the validation samples.
            best: The choice for each post-hoc head, made by the metric `chooser`.
        """
        choices: list[ChosenHead] = []
        if self.trains_head:
            own = metric_value(self.chooser, self.kind, val.target, score, self.thresholds)
            choices.append(ChosenHead(NETWORK, "", own))
        choices += [best[head] for head in self.candidates]
        return max(choices, key=lambda choice: -math.inf if math.isnan(choice.value) else choice.value)
