"""Published numbers that contradict each other, or what arithmetic allows.

The rules: where each sample has one label, Cohen's κ = (p - e) / (1 - e) is at most the accuracy p. An F1,
averaged or pooled, is at most the harmonic mean of precision and recall. An accuracy of n samples is k / n
for a whole number k. Chance is one half on a balanced set of two classes. Two rows do not agree in all of
several numbers unless they are one training. A network without two parts is not better than one without the
first of them, if both parts are worth their place.
"""

from study.reporting.papers import PaperRow, PaperTable

HALF_OF_LAST_PLACE = 0.0005  # how far rounding to three places moves a number at most
SEVERAL = 3  # so many equal numbers of two rows are no accident


def anomalies(paper: PaperTable, row: str) -> dict[str, str]:
    """A footnote for every number of the row that breaks a rule.

    A derived number can be a limit for others, but is not tested itself.

    Returns:
        the footnotes by metric.
    """
    values = {metric: number.value for metric, number in paper.rows[row].values.items()}
    printed = {metric for metric, number in paper.rows[row].values.items() if not number.derived}
    found: dict[str, str] = {}
    if {"kappa", "accuracy"} <= printed and _is_greater(values["kappa"], values["accuracy"]):
        found["kappa"] = (
            "κ is greater than accuracy, which is impossible where each sample has one label; the two must "
            "have been computed on different units."
        )
    if {"precision", "recall", "f1"} <= values.keys() and "f1" in printed:
        limit = harmonic_limit(values)
        if values["f1"] - HALF_OF_LAST_PLACE > limit:
            found["f1"] = (
                f"F1 is greater than {limit:.4f}, the most that precision and recall allow; one of the "
                "three is misprinted."
            )
    if paper.num_test and "accuracy" in printed and not is_share(values["accuracy"], paper.num_test):
        found["accuracy"] = (
            f"No whole number of right answers among {paper.num_test} test images gives this accuracy; "
            "it is an average of repeats, or of another test set."
        )
    if paper.kind == "classes" and values.get("accuracy", 1) < 0.5:
        found["accuracy"] = "Below chance on a balanced set of two classes."
    return _beside_other_rows(paper, row, printed) | found


def _beside_other_rows(paper: PaperTable, row: str, printed: set[str]) -> dict[str, str]:
    """Footnotes for numbers that are odd beside those of another row."""
    own = paper.rows[row]
    exceeded: dict[str, list[str]] = {}
    found: dict[str, str] = {}
    for other in paper.rows.values():
        both = [metric for metric in own.values if metric in printed and _is_printed(other, metric)]
        pairs = {metric: (own.values[metric].value, other.values[metric].value) for metric in both}
        if other.leaves_out and other.leaves_out < own.leaves_out:
            for metric in (metric for metric, pair in pairs.items() if _is_greater(*pair)):
                exceeded.setdefault(metric, []).append(other.label)
        if (
            other is not own
            and len(pairs) >= SEVERAL
            and all(mine == theirs for mine, theirs in pairs.values())
        ):
            found |= dict.fromkeys(pairs, f"The same {len(pairs)} numbers as {other.label}.")
    return found | {
        metric: f"Higher than {' and '.join(labels)}, with more left out; single runs differ that much."
        for metric, labels in exceeded.items()
    }


def _is_printed(row: PaperRow, metric: str) -> bool:
    return metric in row.values and not row.values[metric].derived


def _is_greater(value: float, other: float) -> bool:
    """Whether a number is greater than another one however the two were rounded."""
    return value - HALF_OF_LAST_PLACE > other + HALF_OF_LAST_PLACE


def harmonic_limit(values: dict[str, float]) -> float:
    """2 P R / (P + R), for the greatest precision and recall that round to the printed ones."""
    precision, recall = values["precision"] + HALF_OF_LAST_PLACE, values["recall"] + HALF_OF_LAST_PLACE
    return 2 * precision * recall / (precision + recall)


def is_share(value: float, num: int) -> bool:
    """Whether k / num rounds to the value for a whole number k."""
    return abs(round(value * num) / num - value) <= HALF_OF_LAST_PLACE
