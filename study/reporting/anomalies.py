"""What arithmetic says about published numbers: values that cannot stand beside each other as they are printed."""

from study.reporting.papers import PaperTable

HALF = 0.0005  # the rounding of three places


def anomalies(paper: PaperTable, row: str) -> dict[str, str]:
    """A footnote by metric for every number of the row that breaks a rule; derived numbers are bounds, not evidence of their own.

    Rules: Cohen's kappa κ = (p - e) / (1 - e) ≤ p for one label a sample; an F1, averaged or pooled, is at most the
    harmonic mean of precision and recall; an accuracy of n samples is k / n; a balanced two-class set has chance 1/2.
    """
    values = {metric: number.value for metric, number in paper.rows[row].values.items()}
    stated = {metric for metric, number in paper.rows[row].values.items() if not number.derived}
    found = {}
    if {"kappa", "accuracy"} <= stated and values["kappa"] - HALF > values["accuracy"] + HALF:
        found["kappa"] = (
            "κ is greater than accuracy, which cannot be for one label a sample; the two must have been computed on different units."
        )
    if (
        {"precision", "recall", "f1"} <= set(values)
        and "f1" in stated
        and values["f1"] - HALF > harmonic_limit(values)
    ):
        found["f1"] = (
            f"F1 is greater than {harmonic_limit(values):.4f}, the most that precision and recall allow; one of the three is misprinted."
        )
    if paper.num_test and "accuracy" in stated and not is_share(values["accuracy"], paper.num_test):
        found["accuracy"] = (
            f"No whole number of right answers among {paper.num_test} test images gives this accuracy; "
            "it is an average of repeats, or of another test set."
        )
    if paper.kind == "classes" and values.get("accuracy", 1) < 0.5:
        found["accuracy"] = "Below chance on a balanced set of two classes."
    return found


def harmonic_limit(values: dict[str, float]) -> float:
    """2 P R / (P + R) at the upper ends of what rounds to the printed precision and recall."""
    precision, recall = values["precision"] + HALF, values["recall"] + HALF
    return 2 * precision * recall / (precision + recall)


def is_share(value: float, num: int) -> bool:
    """Whether some k / num rounds to the value."""
    return abs(round(value * num) / num - value) <= HALF
