"""Which rule stops a poor trial early: pure functions of learning curves, greater values being better.

Optuna's own pruners note on each trial how far it came, and the records hold no such notes: after a resume they would
judge as if nobody had come before. These see the curves alone.
"""

import statistics
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from zlib import crc32

REDUCTION = 3


@dataclass
class Curve:
    """A search trial's objective by epoch.

    Attributes:
        number: of the trial.
        epochs: that it was asked to train.
        values: by epoch, from 1; finite.
        complete: it was trained to its end.
    """

    number: int
    epochs: int
    values: dict[int, float] = field(default_factory=dict)
    complete: bool = False


Rule = Callable[[Curve, int, Collection[Curve]], bool]


def asha(min_epochs: int) -> Rule:
    """At epochs m, 3m, 9m, ... a trial goes on if it is in the best third of all that came so far (Li et al. 2020)."""
    return lambda own, epoch, others: _halved(own, epoch, others, min_epochs)


def hyperband(min_epochs: int) -> Rule:
    """ASHA in brackets that begin at m, 3m, 9m, ...; a trial belongs to one by its number (Li et al. 2018)."""

    def rule(own: Curve, epoch: int, others: Collection[Curve]) -> bool:
        mine = bracket(own, min_epochs)
        return _halved(
            own, epoch, [c for c in others if bracket(c, min_epochs) == mine], min_epochs * REDUCTION**mine
        )

    return rule


def median(min_epochs: int, startup: int) -> Rule:
    """From epoch m on a trial ends whose best value is below the median of the complete trials at this epoch."""

    def rule(own: Curve, epoch: int, others: Collection[Curve]) -> bool:
        complete = [c for c in others if c.complete]
        there = [c.values[epoch] for c in complete if epoch in c.values]
        if epoch < min_epochs or len(complete) < startup or not there:
            return False
        return max(own.values.values()) < statistics.median(there)

    return rule


def none(own: Curve, epoch: int, others: Collection[Curve]) -> bool:
    """No trial is stopped."""
    return False


def rule_of(name: str, min_epochs: int, startup: int) -> Rule:
    """A rule by the name of `search.pruner`."""
    rules: Mapping[str, Rule] = {
        "asha": asha(min_epochs),
        "hyperband": hyperband(min_epochs),
        "median": median(min_epochs, startup),
        "none": none,
    }
    return rules[name]


def bracket(curve: Curve, min_epochs: int) -> int:
    """The bracket of a trial: brackets that stop early get more trials, so that all cost about the same."""
    top = 0
    while min_epochs * REDUCTION ** (top + 1) <= curve.epochs:
        top += 1
    shares = [(top + 1) * REDUCTION ** (top - b) // (top - b + 1) + 1 for b in range(top + 1)]
    place = crc32(str(curve.number).encode()) % sum(shares)
    return next(b for b in range(top + 1) if place < sum(shares[: b + 1]))


def _halved(own: Curve, epoch: int, others: Collection[Curve], first: int) -> bool:
    rung = first
    while rung < epoch:
        rung *= REDUCTION
    if rung != epoch:
        return False
    ranked: Sequence[float] = sorted(
        (own.values[epoch], *(c.values[epoch] for c in others if epoch in c.values)), reverse=True
    )
    return own.values[epoch] < ranked[max(0, len(ranked) // REDUCTION - 1)]
