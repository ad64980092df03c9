"""Which test samples to look at: those asked for, and some drawn at random among the right and the wrong ones."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool

from study.evidence.predictions import Predictions
from study.spec.errors import SpecError, suggest

MOST_CASES = 16  # a figure with more of them is no longer looked at


class Case(NamedTuple):
    """A sample to look at, and the label of interest."""

    sample: str
    chosen: str
    label: str


def pick_cases(
    found: Predictions,
    decided: Bool[np.ndarray, "n l"],
    labels: Sequence[str],
    asked: Sequence[str],
    num_random: int,
    label: str | None,
) -> list[Case]:
    """Those asked for, then random right ones, then as many random wrong ones; fewer where there are none. Equal arguments, equal cases.

    A sample is right when all its labels are, or, with `label`, when it carries that label and is said to.

    Args:
        found: of the reference trial on the test split, labels known.
        decided: which labels each sample is said to carry.
        labels: their names.
        asked: samples that must be there.
        num_random: how many to draw beside them.
        label: the label of interest; None takes, for each sample, the surest of the right labels or the most wrong one.

    Raises:
        SpecError: an unknown sample or label, or too many samples.
    """
    if label is not None and label not in labels:
        raise SpecError(f"`--label`: must be a label of the run, got `{label}`. {suggest(label, labels)}")
    for name in asked:
        if name not in found.sample:
            near = (
                suggest(name, found.sample)
                if len(found.sample) <= 20
                else f"The first are {', '.join(found.sample[:10])}."
            )
            raise SpecError(f"`--sample`: must be a sample of the test split, got `{name}`. {near}")
    if not 0 <= num_random <= MOST_CASES - len(asked):
        raise SpecError(
            f"`--random`: must lie between 0 and {MOST_CASES} less the samples asked for, got {num_random}."
        )
    true = found.target > 0
    if label is None:
        good, bad = (true == decided).all(1) & true.any(1), (true != decided).any(1)
    else:
        place = labels.index(label)
        good, bad = true[:, place] & decided[:, place], true[:, place] != decided[:, place]
    places = {name: i for i, name in enumerate(found.sample)}
    others = np.array([name not in asked for name in found.sample])
    drawn = _drawn(good & others, bad & others, num_random)
    shown = [(places[name], "asked") for name in dict.fromkeys(asked)] + [(i, "random") for i in drawn]
    if not shown:
        raise SpecError(
            f"`--random`: must find a sample to show, got none{f' that carries or is called {label}' if label else ''}. Name some."
        )
    return [
        Case(found.sample[i], chosen, label or labels[_label(true[i], decided[i], found.score[i])])
        for i, chosen in shown
    ]


def _drawn(good: Bool[np.ndarray, " n"], bad: Bool[np.ndarray, " n"], num: int) -> list[int]:
    """Half of each kind, more of one where the other has too few."""
    random = np.random.default_rng(0)
    right, wrong = (random.permutation(np.flatnonzero(kind)).tolist() for kind in (good, bad))
    num_wrong = min(len(wrong), max(num // 2, num - len(right)))
    return [*right[: num - num_wrong], *wrong[:num_wrong]]


def _label(true: Bool[np.ndarray, " l"], decided: Bool[np.ndarray, " l"], score: np.ndarray) -> int:
    """The right label with the greatest score, or the wrong one whose score is furthest from the truth."""
    wrong = true != decided
    if wrong.any():
        return int(np.where(wrong, np.abs(score - true), -1.0).argmax())
    return int(np.where(true, score, -1.0).argmax() if true.any() else score.argmax())
