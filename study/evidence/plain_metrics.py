"""The main metrics once more, in plain loops, for checks only.

They share no line with `study.evidence.evaluation`, so a mistake there does not repeat itself here. Each
function takes one label: whether each sample carries it, and its score or decision.
"""

import math
from collections.abc import Callable, Mapping, Sequence

Flags = Sequence[bool]


def plain_auc(carries: Flags, score: Sequence[float]) -> float:
    """Share of pairs of a carrier and another sample that the scores order rightly; a tie counts one half."""
    lower = better = total = 0.0
    for level in _levels(carries, score):
        better += level[True] * (lower + level[False] / 2)
        lower += level[False]
        total += level[True]
    return better / (total * lower) if total and lower else math.nan


def plain_average_precision(carries: Flags, score: Sequence[float]) -> float:
    """Precision at each score from the greatest down, each weighted with the recall that it adds."""
    found = seen = area = 0.0
    for level in reversed(_levels(carries, score)):
        found += level[True]
        seen += level[True] + level[False]
        area += level[True] * found / seen
    return area / found if found else math.nan


def plain_f1(carries: Flags, decided: Flags) -> float:
    """Twice the carriers found, over the carriers and the decided; undefined without carriers."""
    both, only_carried, only_decided, _ = _table(carries, decided)
    carriers = both + only_carried
    return 2 * both / (carriers + both + only_decided) if carriers else math.nan


def plain_kappa(carries: Flags, decided: Flags) -> float:
    """Agreement of truth and decision beyond that of chance; undefined without carriers."""
    both, only_carried, only_decided, neither = _table(carries, decided)
    num = both + only_carried + only_decided + neither
    carriers, called = both + only_carried, both + only_decided
    by_chance = (carriers * called + (num - carriers) * (num - called)) / num**2
    if not carriers or by_chance == 1:
        return math.nan
    return ((both + neither) / num - by_chance) / (1 - by_chance)


OF_SCORE: Mapping[str, Callable[[Flags, Sequence[float]], float]] = {
    "auc": plain_auc,
    "average_precision": plain_average_precision,
}
OF_DECISION: Mapping[str, Callable[[Flags, Flags], float]] = {"f1": plain_f1, "kappa": plain_kappa}


def plain_mean(values: Sequence[float]) -> float:
    """The mean of the values that are defined."""
    known = [value for value in values if not math.isnan(value)]
    return sum(known) / len(known) if known else math.nan


def _levels(carries: Flags, score: Sequence[float]) -> list[dict[bool, float]]:
    """For each score, the least first, how many carriers and how many others have it."""
    levels: dict[float, dict[bool, float]] = {}
    for carrier, value in zip(carries, score, strict=True):
        levels.setdefault(value, {True: 0.0, False: 0.0})[carrier] += 1
    return [levels[value] for value in sorted(levels)]


def _table(carries: Flags, decided: Flags) -> tuple[int, int, int, int]:
    """Samples that are carriers and decided, only carriers, only decided, and neither."""
    both = only_carried = only_decided = neither = 0
    for carrier, called in zip(carries, decided, strict=True):
        both += carrier and called
        only_carried += carrier and not called
        only_decided += called and not carrier
        neither += not carrier and not called
    return both, only_carried, only_decided, neither
