"""What a trial is chosen by on validation: its own head, the best of several heads on its embedding, or retrieval.

An objective's name is a metric (`macro_average_precision`), a metric by the best head (`best_head.macro_average_precision`),
or, for the task retrieval, one of its measures (`macro_map_possible@10`).
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float

from study.evidence.heads import best_settings
from study.evidence.metrics import DEFAULT_OBJECTIVE, LabelKind, objective, objective_metric
from study.evidence.predictions import Embeddings
from study.evidence.retrieval import (
    DEFAULT_RETRIEVAL,
    Gallery,
    Ranking,
    is_retrieval,
    rank_references,
    retrieval_means,
    retrieval_measures,
)
from study.spec.errors import SpecError, suggest

BEST_HEAD = "best_head."
NETWORK = "network"


@dataclass(frozen=True)
class Objective:
    """An objective's name, read.

    Attributes:
        name: as the study file has it.
        measure: the metric or measure of retrieval in it.
        by: whose value counts.
    """

    name: str
    measure: str
    by: Literal["own_head", "best_head", "retrieval"]


def read_objective(name: str | None, kind: LabelKind, retrieves: bool) -> Objective:
    """The objective of that name; without one that of the task and kind.

    Args:
        name: from the study file.
        kind: of the labels.
        retrieves: whether the task is retrieval.

    Raises:
        SpecError: no such objective, one that is better when smaller, or retrieval among samples with several labels.
    """
    if retrieves and kind == "multilabel":
        raise SpecError(
            "`task`: retrieval needs one class or grade a sample, got multilabel data. Take `task: classification`."
        )
    name = name or (DEFAULT_RETRIEVAL if retrieves else DEFAULT_OBJECTIVE[kind])
    if is_retrieval(name):
        _require_macro(name, retrieves)
        return Objective(name, name, "retrieval")
    if "@" in name:
        raise SpecError(
            f"`objective`: must be a measure of retrieval, got `{name}`. {suggest(name, retrieval_measures())}"
        )
    measure = name.removeprefix(BEST_HEAD)
    if not objective_metric(measure, kind, "objective").greater_is_better:
        raise SpecError(
            f"`objective`: must be a metric whose greater values are better, got `{name}`. Take its complement."
        )
    return Objective(name, measure, "best_head" if name.startswith(BEST_HEAD) else "own_head")


def _require_macro(name: str, retrieves: bool) -> None:
    if not retrieves:
        raise SpecError(
            f"`objective`: `{name}` needs `task: retrieval`, got the task classification. Set the task."
        )


def measure_of(name: str) -> str:
    """The metric or measure of retrieval in an objective's name."""
    return name.removeprefix(BEST_HEAD)


@dataclass(frozen=True)
class Pick:
    """The head that stands for a trial, at its setting, and its value on validation."""

    head: str
    setting: str
    value: float


@dataclass(frozen=True)
class Judge:
    """Finds a trial's value on validation, and which head stands for it.

    Attributes:
        objective: what counts.
        kind: of the labels.
        trains_head: whether the loss trains the network's own head; otherwise the best nearest neighbours stand in for it.
        heads: post-hoc heads that the study asks for.
        gallery: how retrieval ranks.
    """

    objective: Objective
    kind: LabelKind
    trains_head: bool
    heads: tuple[str, ...]
    gallery: Gallery

    @property
    def candidates(self) -> tuple[str, ...]:
        """Post-hoc heads that may stand for a trial."""
        if self.objective.by == "best_head":
            return self.heads if self.heads or self.trains_head else ("knn",)
        return () if self.trains_head else ("knn",)

    @property
    def chooser(self) -> str:
        """The metric that chooses the settings of heads."""
        return DEFAULT_OBJECTIVE[self.kind] if self.objective.by == "retrieval" else self.objective.measure

    def value(
        self, score: Float[np.ndarray, "n l"], val: Embeddings, training: Callable[[], Embeddings]
    ) -> float:
        """The objective on validation.

        Args:
            score: of the network's own head.
            val: embeddings of the validation samples.
            training: makes the embeddings of the training samples; only called where they are needed.
        """
        if not np.isfinite(val.embedding).all():
            return math.nan
        if self.objective.by == "retrieval":
            return float(retrieval_means(self.ranking(val, training()), self.objective.measure)[0])
        best = (
            best_settings(training(), val, self.kind, self.candidates, self.chooser)
            if self.candidates
            else {}
        )
        return self.pick(score, val, best).value

    def ranking(self, queries: Embeddings, gallery: Embeddings) -> Ranking:
        """The gallery ranked for each query."""
        return rank_references(
            gallery, queries, self.gallery.distance, exclude_same_patient=self.gallery.exclude_same_patient
        )

    def pick(
        self, score: Float[np.ndarray, "n l"], val: Embeddings, best: Mapping[str, tuple[str, float]]
    ) -> Pick:
        """The best of the network's own head, where it is trained, and the candidates; of equal ones the first.

        Args:
            score: of the network's own head.
            val: the validation samples.
            best: setting and value of each post-hoc head, by the chooser.
        """
        picks: list[Pick] = []
        if self.trains_head:
            picks.append(Pick(NETWORK, "", objective(self.chooser, self.kind, val.target, score)))
        picks += [Pick(head, *best[head]) for head in self.candidates]
        return max(picks, key=lambda pick: -math.inf if math.isnan(pick.value) else pick.value)
