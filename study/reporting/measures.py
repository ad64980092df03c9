"""The measures that a report shows for each kind of data, and their names."""

from study.evidence.retrieval import is_retrieval
from study.spec.task import LabelKind

HEADLINE: dict[LabelKind, tuple[str, ...]] = {
    "multilabel": (
        "macro_average_precision",
        "macro_auc",
        "macro_f1",
        "odir_kappa",
        "odir_final",
        "exact_match",
    ),
    "classes": ("accuracy", "balanced_accuracy", "macro_precision", "macro_f1", "macro_auc", "cohen_kappa"),
    "grades": ("quadratic_kappa", "accuracy", "balanced_accuracy", "macro_f1", "macro_auc"),
}
RETRIEVAL_HEADLINE = ("macro_mhr@10", "mhr@10", "map@10", "macro_mrr@10")
SHORT_NAMES = {
    "macro_average_precision": "mAP",
    "macro_auc": "AUC",
    "macro_f1": "F1",
    "macro_precision": "Precision",
    "macro_recall": "Recall",
    "odir_kappa": "ODIR κ",
    "odir_f1": "ODIR F1",
    "odir_auc": "ODIR AUC",
    "odir_final": "ODIR final",
    "exact_match": "Exact match",
    "accuracy": "Accuracy",
    "balanced_accuracy": "Balanced acc.",
    "cohen_kappa": "κ",
    "quadratic_kappa": "Quadratic κ",
    "average_precision": "average precision",
    "auc": "AUC",
}
FULL_NAMES = {
    "macro_average_precision": "mean average precision over the labels",
    "macro_auc": "mean area under the ROC curve over the labels",
    "macro_f1": "mean F1 over the labels",
    "macro_precision": "mean precision over the labels",
    "macro_recall": "mean recall over the labels",
    "odir_kappa": "Cohen's κ of all flattened decisions, as in the ODIR challenge",
    "odir_f1": "share of right single decisions, the F1 of the ODIR challenge",
    "odir_auc": "area under the ROC curve of all flattened scores, as in the ODIR challenge",
    "odir_final": "mean of ODIR κ, ODIR F1 and ODIR AUC",
    "exact_match": "share of patients with every label right",
    "accuracy": "share of right decisions",
    "balanced_accuracy": "mean recall over the classes",
    "cohen_kappa": "Cohen's κ over the classes",
    "quadratic_kappa": "Cohen's κ with quadratic weights over the grades",
}
RETRIEVAL_NAMES = {  # short name, full name
    "mhr": ("mHR", "hit rate among the first {k}"),
    "mrr": ("mRR", "reciprocal rank of the first hit among the first {k}"),
    "map": ("mAP", "average precision among the first {k}, divided by {k}"),
    "map_hits": ("mAP (hits)", "average precision among the first {k}, divided by the hits"),
    "map_possible": (
        "mAP (possible)",
        "average precision among the first {k}, divided by the most hits that are possible",
    ),
}


def short_name(measure: str) -> str:
    """The measure as the heading of a column."""
    if is_retrieval(measure):
        kind, _, k = measure.removeprefix("macro_").partition("@")
        macro = "macro " if measure.startswith("macro_") else ""
        return f"{macro}{RETRIEVAL_NAMES[kind][0]}@{k}"
    return SHORT_NAMES.get(measure, measure.replace("_", " "))


def full_name(measure: str) -> str:
    """The measure as words of a sentence."""
    if is_retrieval(measure):
        kind, _, k = measure.removeprefix("macro_").partition("@")
        over = "grades" if measure.startswith("macro_") else "queries"
        return f"mean over the {over} of the {RETRIEVAL_NAMES[kind][1].format(k=k)}"
    return FULL_NAMES.get(measure, measure.replace("_", " "))


def headline(kind: LabelKind, objective: str) -> tuple[str, ...]:
    """The measures of the leaderboard, the objective first."""
    ranks = RETRIEVAL_HEADLINE if is_retrieval(objective) else ()
    return tuple(dict.fromkeys((objective, *ranks, *HEADLINE[kind])))
