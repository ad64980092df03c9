"""The objectives of a search after its first one: metrics by the trial's head, and costs."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from study.evidence.metrics import metrics_of
from study.spec.errors import SpecError, suggest
from study.spec.task import LabelKind

COSTS = ("num_parameters", "multiply_adds")
"""Parameters of the network, and multiplications with addition for one sample; smaller is better."""


def smaller_is_better(names: Sequence[str], kind: LabelKind) -> list[bool]:
    """For each further objective whether smaller is better.

    Args:
        names: Metrics of the kind that give one number, or costs.
        kind: Kind of the labels.

    Raises:
        SpecError: A name is neither.
    """
    metrics = {name: metric for name, metric in metrics_of(kind).items() if not metric.per_label}
    for name in names:
        if name not in metrics and name not in COSTS:
            known = suggest(name, (*metrics, *COSTS))
            raise SpecError(f"`objective`: must be metrics of {kind} data or costs, got `{name}`. {known}")
    return [name in COSTS or not metrics[name].greater_is_better for name in names]


def further_values(
    names: Iterable[str], costs: Mapping[str, int | float], head: str, scores: Iterable[Mapping[str, Any]]
) -> dict[str, float]:
    """The values of a trial's further objectives.

    Args:
        names: Names of the objectives.
        costs: Value of each cost.
        head: The head that stands for the trial, whose metrics on validation count.
        scores: Rows of SCORES of the trial.
    """
    metrics = {
        row["metric"]: float(row["value"])
        for row in scores
        if (row["head"], row["split"], row["label"]) == (head, "val", "")
        and row["chosen"]
        and row["decision"] != "half"
    }
    return {name: float(costs[name]) if name in COSTS else metrics.get(name, float("nan")) for name in names}
