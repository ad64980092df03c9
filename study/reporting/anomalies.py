"""Published numbers that contradict each other, or what arithmetic allows.

The rules: where each sample has one label, Cohen's κ = (p - e) / (1 - e) is at most the accuracy p. An F1,
averaged or pooled, is at most the harmonic mean of precision and recall. An accuracy of n samples is k / n
for a whole number k. Chance is one half on a balanced set of two classes.
"""

from study.reporting.papers import PaperTable

HALF_OF_LAST_PLACE = 0.0005  # how far rounding to three places moves a number at most


def anomalies(paper: PaperTable, row: str) -> dict[str, str]:
    """A footnote for every number of the row that breaks a rule.

    A derived number can be a limit for others, but is not tested itself.

    Returns:
        the footnotes by metric.
    """
    values = {metric: number.value for metric, number in paper.rows[row].values.items()}
    printed = {metric for metric, number in paper.rows[row].values.items() if not number.derived}
    found = {}
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
    return found


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
