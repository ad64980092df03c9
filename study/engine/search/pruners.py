"""The rules that stop a poor trial early: pure functions of learning curves, whose greater values are better.

Optuna's own pruners note on each trial how far it came. The records hold no such notes, so after an
interruption those pruners would judge as if there had been no earlier trials. The rules here need the
curves alone.
"""

import statistics
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from zlib import crc32

REDUCTION = 3


@dataclass
class Curve:
    """The objective of a search trial by epoch.

    Attributes:
        number: Number of the trial in the search.
        epochs: Epochs that the trial was asked to train.
        values: Objective by epoch, from 1; all values are finite.
        complete: Whether the trial was trained to its end.
    """

    number: int
    epochs: int
    values: dict[int, float] = field(default_factory=dict)
    complete: bool = field(default=False, kw_only=True)


Rule = Callable[[Curve, int, Collection[Curve]], bool]
"""Takes the curve of a trial, its last epoch and the curves of the other trials; True stops the trial."""


def asha(min_epochs: int) -> Rule:
    """At epoch m, 3m, 9m, ... a trial goes on if it is in the best third of those that reached it.

    Source: Li et al. 2020.

    Args:
        min_epochs: The first such epoch, m.
    """

    def rule(own: Curve, epoch: int, others: Collection[Curve]) -> bool:
        return _falls_behind(own, epoch, others, min_epochs)

    return rule


def hyperband(min_epochs: int) -> Rule:
    """ASHA in brackets that begin at epoch m, 3m, 9m, ...; the number of a trial decides on its bracket.

    Source: Li et al. 2018.

    Args:
        min_epochs: Where the first bracket begins, m.
    """

    def rule(own: Curve, epoch: int, others: Collection[Curve]) -> bool:
        mine = bracket(own, min_epochs)
        rivals = [curve for curve in others if bracket(curve, min_epochs) == mine]
        return _falls_behind(own, epoch, rivals, min_epochs * REDUCTION**mine)

    return rule


def median(min_epochs: int, startup: int) -> Rule:
    """Stops a trial whose best value so far is below the median of the complete trials at the same epoch.

    Args:
        min_epochs: The first epoch at which a trial may be stopped.
        startup: Number of complete trials that there must be.
    """

    def rule(own: Curve, epoch: int, others: Collection[Curve]) -> bool:
        complete = [curve for curve in others if curve.complete]
        values = [curve.values[epoch] for curve in complete if epoch in curve.values]
        if epoch < min_epochs or len(complete) < startup or not values:
            return False
        return max(own.values.values()) < statistics.median(values)

    return rule


def none(own: Curve, epoch: int, others: Collection[Curve]) -> bool:
    """Stops no trial."""
    return False


def rule_of(name: str, min_epochs: int, startup: int) -> Rule:
    """The rule of that name.

    Args:
        name: Name of the rule, as in `search.pruner`.
        min_epochs: Epochs that no rule cuts short.
        startup: Number of complete trials that the rule `median` needs.
    """
    rules: Mapping[str, Rule] = {
        "asha": asha(min_epochs),
        "hyperband": hyperband(min_epochs),
        "median": median(min_epochs, startup),
        "none": none,
    }
    return rules[name]


def bracket(curve: Curve, min_epochs: int) -> int:
    """The bracket of a trial, from 0.

    Brackets that stop trials earlier get more trials, so that all brackets cost about the same.
    """
    top = 0
    while min_epochs * REDUCTION ** (top + 1) <= curve.epochs:
        top += 1
    shares = [(top + 1) * REDUCTION ** (top - b) // (top - b + 1) + 1 for b in range(top + 1)]
    place = crc32(str(curve.number).encode()) % sum(shares)
    return next(b for b in range(top + 1) if place < sum(shares[: b + 1]))


def _falls_behind(own: Curve, epoch: int, others: Collection[Curve], first: int) -> bool:
    """Whether this epoch is `first` times a power of three, and the trial is not in the best third there."""
    rung = first
    while rung < epoch:
        rung *= REDUCTION
    if rung != epoch:
        return False
    reached = [curve.values[epoch] for curve in others if epoch in curve.values]
    ranked = sorted([own.values[epoch], *reached], reverse=True)
    last_to_go_on = ranked[max(0, len(ranked) // REDUCTION - 1)]
    return own.values[epoch] < last_to_go_on
