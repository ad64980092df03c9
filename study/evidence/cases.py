"""Which test samples to look at: those that the user names, and some that are drawn."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from study.evidence.predictions import Predictions
from study.spec.errors import SpecError, suggest

MOST_CASES = 16  # nobody looks at a figure with more of them
_MOST_SUGGESTED = 20  # sample names among which a near one is looked for; of more, the first are named


class Case(NamedTuple):
    """A sample to look at.

    Attributes:
        sample: Name of the sample.
        chosen: `asked` where the user named it, `random` where it was drawn.
        label: Label that is shown where only one can be.
    """

    sample: str
    chosen: str
    label: str


def pick_cases(
    predictions: Predictions,
    decided: Bool[np.ndarray, "n l"],
    labels: Sequence[str],
    asked: Sequence[str],
    num_random: int,
    label: str | None,
) -> list[Case]:
    """The samples that the user names, then drawn samples that are right, then as many that are wrong.

    There are fewer drawn ones where the split has too few of them. Equal arguments give equal cases. A sample
    is right when all its labels are decided rightly; with `label`, when it carries the label and is said to
    carry it.

    Args:
        predictions: Predictions of the reference trial on the test split, all labels known.
        decided: Whether each sample is said to carry each label.
        labels: Names of the labels.
        asked: Names of the samples that must be there.
        num_random: Number of samples to draw.
        label: Label of interest. None takes for each sample the most wrong of its labels, or, where all are
            right, the right one with the greatest score.

    Raises:
        SpecError: A sample or the label is unknown, there are too many samples, or there is none to show.
    """
    _require_known(predictions.sample, labels, asked, label)
    if not 0 <= num_random <= MOST_CASES - len(asked):
        raise SpecError(
            f"`--random`: must lie between 0 and {MOST_CASES} less the samples asked for, got {num_random}."
        )
    true = predictions.target > 0
    right, wrong = _right_and_wrong(true, decided, None if label is None else labels.index(label))
    rows = {name: row for row, name in enumerate(predictions.sample)}
    not_asked = np.array([name not in asked for name in predictions.sample])
    drawn = _drawn(right & not_asked, wrong & not_asked, num_random)
    shown = [(rows[name], "asked") for name in dict.fromkeys(asked)] + [(row, "random") for row in drawn]
    if not shown:
        which = f" that carries or is called {label}" if label else ""
        raise SpecError(f"`--random`: must find a sample to show, got none{which}. Name some.")
    cases = []
    for row, chosen in shown:
        own = labels[_label_to_show(true[row], decided[row], predictions.score[row])]
        cases.append(Case(predictions.sample[row], chosen, label or own))
    return cases


def _require_known(
    samples: Sequence[str], labels: Sequence[str], asked: Sequence[str], label: str | None
) -> None:
    if label is not None and label not in labels:
        raise SpecError(f"`--label`: must be a label of the run, got `{label}`. {suggest(label, labels)}")
    for name in asked:
        if name not in samples:
            few = len(samples) <= _MOST_SUGGESTED
            hint = suggest(name, samples) if few else f"The first are {', '.join(samples[:10])}."
            raise SpecError(f"`--sample`: must be a sample of the test split, got `{name}`. {hint}")


def _right_and_wrong(
    true: Bool[np.ndarray, "n l"], decided: Bool[np.ndarray, "n l"], label: int | None
) -> tuple[Bool[np.ndarray, " n"], Bool[np.ndarray, " n"]]:
    """Which samples are right and which are wrong; some are neither, as they have nothing to show."""
    if label is None:
        return (true == decided).all(axis=1) & true.any(axis=1), (true != decided).any(axis=1)
    return true[:, label] & decided[:, label], true[:, label] != decided[:, label]


def _drawn(right: Bool[np.ndarray, " n"], wrong: Bool[np.ndarray, " n"], num: int) -> list[int]:
    """Rows of the drawn samples, half of them right; more of one kind where the other has too few."""
    random = np.random.default_rng(0)
    right_rows = random.permutation(np.flatnonzero(right)).tolist()
    wrong_rows = random.permutation(np.flatnonzero(wrong)).tolist()
    num_wrong = min(len(wrong_rows), max(num // 2, num - len(right_rows)))
    return [*right_rows[: num - num_wrong], *wrong_rows[:num_wrong]]


def _label_to_show(
    true: Bool[np.ndarray, " l"], decided: Bool[np.ndarray, " l"], score: Float[np.ndarray, " l"]
) -> int:
    """The wrong label whose score is furthest from the truth, or the right one with the greatest score."""
    wrong = true != decided
    if wrong.any():
        return int(np.where(wrong, np.abs(score - true), -1.0).argmax())
    if true.any():
        return int(np.where(true, score, -1.0).argmax())
    return int(score.argmax())
