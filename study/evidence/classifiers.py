"""The classifiers of scikit-learn on embeddings; for multilabel data, one fit for each label.

scikit-learn is imported inside the functions: few trials ask for these heads, and the import takes each
process a second.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from jaxtyping import Float, Int, Num
from scipy.special import expit, softmax

Scorer = Callable[[Float[np.ndarray, "n d"]], Float[np.ndarray, "n l"]]
_SEED = 0  # of the trees, so that the same embeddings always give the same scores


def svm(c: float, *, scaled: bool) -> Any:
    """RBF support vector machine.

    Args:
        c: Weight of the training errors against the width of the margin.
        scaled: Whether the features are first brought to mean 0 and variance 1.
    """
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import SVC

    machine = SVC(C=c)
    return make_pipeline(StandardScaler(), machine) if scaled else machine


def random_forest(min_leaf: int) -> Any:
    """100 trees whose leaves hold at least `min_leaf` samples."""
    from sklearn.ensemble import RandomForestClassifier

    return RandomForestClassifier(100, min_samples_leaf=min_leaf, random_state=_SEED)


def gradient_boosting(num_rounds: int) -> Any:
    """Histogram gradient boosting with trees of 8 leaves; each split tries a fifth of the features."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    return HistGradientBoostingClassifier(
        max_iter=num_rounds, max_leaf_nodes=8, max_features=0.2, early_stopping=False, random_state=_SEED
    )


def gaussian_nb(smoothing: float) -> Any:
    """Gaussian naive Bayes; `smoothing` times the greatest variance is added to all variances."""
    from sklearn.naive_bayes import GaussianNB

    return GaussianNB(var_smoothing=smoothing)


def fit_scorer(
    make: Callable[[], Any],
    features: Float[np.ndarray, "n d"],
    target: Num[np.ndarray, "n l"],
    *,
    exclusive: bool,
) -> Scorer:
    """Fits the classifier and gives the function from features to scores.

    Scores are the classifier's probabilities. A support vector machine has none, so its score is the logistic
    function of its margin (the softmax for classes): it has the right order and decides at 0.5, but is not
    calibrated. A label that all or no training samples carry gets the constant score 1 or 0.

    Args:
        make: Makes a new classifier.
        features: Features of the training samples.
        target: 1 where a sample carries the label.
        exclusive: Whether a sample carries exactly one label: then there is one fit over the classes, else
            one a label.
    """
    num_labels = target.shape[1]
    if exclusive:
        return _fit_classes(make, features, target.argmax(axis=1), num_labels)
    scorers = [
        _fit_classes(make, features, (target[:, label] > 0).astype(np.int64), 2)
        for label in range(num_labels)
    ]
    return lambda new: np.stack([scorer(new)[:, 1] for scorer in scorers], axis=1)


def _fit_classes(
    make: Callable[[], Any],
    features: Float[np.ndarray, "n d"],
    classes: Int[np.ndarray, " n"],
    num_classes: int,
) -> Scorer:
    present = np.unique(classes)
    fitted = make().fit(features, classes) if len(present) > 1 else None

    def score(new: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n l"]:
        probability = np.zeros((len(new), num_classes), dtype=np.float32)
        probability[:, present] = 1 if fitted is None else _probability(fitted, new)
        return probability

    return score


def _probability(fitted: Any, new: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n c"]:
    if hasattr(fitted, "predict_proba"):
        return np.asarray(fitted.predict_proba(new))
    margin = np.asarray(fitted.decision_function(new))
    if margin.ndim == 1:
        return np.stack([expit(-margin), expit(margin)], axis=1)
    return np.asarray(softmax(margin, axis=1))
