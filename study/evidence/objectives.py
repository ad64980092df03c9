"""The further objectives of a search with several: metrics by the trial's head, and costs, each with its direction."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from study.evidence.metrics import LabelKind, metrics_of
from study.spec.errors import SpecError, suggest

COSTS = {
    "num_parameters": "parameters of the network",
    "multiply_adds": "multiplications with addition for one sample",
}


def minimised(names: Sequence[str], kind: LabelKind) -> list[bool]:
    """For each further objective whether smaller is better.

    Args:
        names: metrics of the kind that give one number, or costs.
        kind: of the labels.

    Raises:
        SpecError: a name is neither.
    """
    metrics = {name: metric for name, metric in metrics_of(kind).items() if not metric.per_label}
    for name in names:
        if name not in metrics and name not in COSTS:
            raise SpecError(
                f"`objective`: must be metrics of {kind} data or costs, got `{name}`. {suggest(name, (*metrics, *COSTS))}"
            )
    return [name in COSTS or not metrics[name].greater_is_better for name in names]


def further_values(
    names: Iterable[str], record: Mapping[str, Any], scores: Iterable[Mapping[str, Any]]
) -> dict[str, float]:
    """The further objectives of a trial: costs from its record, metrics on validation by the head that stands for it.

    Args:
        names: of the objectives.
        record: row of TRIAL with its head.
        scores: rows of SCORES.
    """
    found = {
        row["metric"]: float(row["value"])
        for row in scores
        if (row["head"], row["split"], row["label"]) == (record["head"], "val", "")
        and row["chosen"]
        and row["decision"] != "tuned"
    }
    return {name: float(record[name]) if name in COSTS else found.get(name, float("nan")) for name in names}
