"""Every metric of a set of samples, from what is true, what was scored and what was decided.

All formulas work for many weightings of the samples at once (columns b). A point estimate has one column of
ones, and a bootstrap has one column of multiplicities for each resample, so that one formula gives a metric
and its interval.

A label without a positive sample has no value: its per-label metrics are NaN, and aggregates skip NaN.
"""

from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float, Int, Num, Shaped

from study.evidence.ranking import rank_labels, rank_metrics

PerLabel = Float[np.ndarray, "l b"]
Aggregate = Float[np.ndarray, " b"]


class Evaluation:
    """Truth, score and decision of n samples and l labels under b weightings.

    Args:
        target: 1 where the sample carries the label, else 0; no unknown values.
        score: Probability of each label.
        decision: True where the sample is said to carry the label; may be left out for metrics that need
            scores only.
        weights: How often each sample counts; one column of ones when left out.

    Raises:
        ValueError: A target is neither 0 nor 1, or a score is not finite.
    """

    def __init__(
        self,
        target: Num[np.ndarray, "n l"],
        score: Float[np.ndarray, "n l"],
        decision: Bool[np.ndarray, "n l"] | None = None,
        weights: Float[np.ndarray, "n b"] | None = None,
    ) -> None:
        if not np.isin(target, (0, 1)).all():
            raise ValueError(
                "`target`: must be 0 or 1, got other values. Leave samples with unknown labels out."
            )
        if not np.isfinite(score).all():
            raise ValueError("`score`: must be finite, got NaN or infinity.")
        self.target = target.astype(bool)
        self.score = score
        self._decision = decision
        self._unweighted = weights is None
        self.weights = np.ones((len(target), 1)) if weights is None else weights

    @property
    def decision(self) -> Bool[np.ndarray, "n l"]:
        """True where the sample is said to carry the label.

        Raises:
            ValueError: The evaluation was made from scores only.
        """
        if self._decision is None:
            raise ValueError("`decision`: is needed for this metric, got None.")
        return self._decision

    def _weighted(self, values: Shaped[np.ndarray, "n m"]) -> Float[np.ndarray, "m b"]:
        sums: Float[np.ndarray, "m b"] = values.T.astype(self.weights.dtype) @ self.weights
        return sums

    @cached_property
    def total(self) -> Aggregate:
        """Σ w, the number of samples of each weighting."""
        return np.asarray(self.weights.sum(axis=0))

    @cached_property
    def positives(self) -> PerLabel:
        """Σ w target."""
        return self._weighted(self.target)

    @cached_property
    def decided(self) -> PerLabel:
        """Σ w decision."""
        return self._weighted(self.decision)

    @cached_property
    def hits(self) -> PerLabel:
        """Σ w target decision (true positives)."""
        return self._weighted(self.target & self.decision)

    def _where_present(self, values: PerLabel) -> PerLabel:
        return np.where(self.positives > 0, values, np.nan)

    @cached_property
    def precision(self) -> PerLabel:
        """TP / (TP + FP); 0 where nothing was decided."""
        return self._where_present(ratio(self.hits, np.maximum(self.decided, 1)))

    @cached_property
    def recall(self) -> PerLabel:
        """TP / (TP + FN), the sensitivity."""
        return self._where_present(ratio(self.hits, self.positives))

    @cached_property
    def specificity(self) -> PerLabel:
        """TN / (TN + FP)."""
        negatives = self.total - self.positives
        return self._where_present(ratio(negatives - self.decided + self.hits, negatives))

    @cached_property
    def f1(self) -> PerLabel:
        """2 TP / (2 TP + FP + FN)."""
        return self._where_present(ratio(2 * self.hits, self.positives + self.decided))

    @cached_property
    def kappa(self) -> PerLabel:
        """Cohen's kappa of each label's yes-or-no decisions."""
        return self._where_present(binary_kappa(self.hits, self.positives, self.decided, self.total))

    @cached_property
    def _ranked(self) -> tuple[PerLabel, PerLabel]:
        if self._unweighted:
            auc, average_precision = rank_labels(self.target, self.score)
            return auc[:, None], average_precision[:, None]
        pairs = [
            rank_metrics(self.target[:, j], self.score[:, j], self.weights)
            for j in range(self.target.shape[1])
        ]
        return np.stack([auc for auc, _ in pairs]), np.stack([ap for _, ap in pairs])

    @property
    def auc(self) -> PerLabel:
        """Area under the ROC curve, one label against the rest."""
        return self._ranked[0]

    @property
    def average_precision(self) -> PerLabel:
        """Area under the precision-recall steps."""
        return self._ranked[1]

    @cached_property
    def _ranked_flat(self) -> tuple[Aggregate, Aggregate]:
        num_labels = self.target.shape[1]
        return rank_metrics(
            self.target.ravel(), self.score.ravel(), np.repeat(self.weights, num_labels, axis=0)
        )

    @property
    def flat_auc(self) -> Aggregate:
        """AUC of all n × l (score, truth) pairs in one pool."""
        return self._ranked_flat[0]

    @property
    def flat_average_precision(self) -> Aggregate:
        """Average precision of all n × l (score, truth) pairs in one pool."""
        return self._ranked_flat[1]

    @cached_property
    def flat_kappa(self) -> Aggregate:
        """Cohen's kappa of all n × l yes-or-no decisions in one pool."""
        num_labels = self.target.shape[1]
        return binary_kappa(
            self.hits.sum(axis=0),
            self.positives.sum(axis=0),
            self.decided.sum(axis=0),
            self.total * num_labels,
        )

    @cached_property
    def micro_precision(self) -> Aggregate:
        """Σ TP / Σ (TP + FP) over labels; 0 where nothing was decided."""
        precision = ratio(self.hits.sum(axis=0), np.maximum(self.decided.sum(axis=0), 1))
        return np.where(self.positives.sum(axis=0) > 0, precision, np.nan)

    @cached_property
    def micro_recall(self) -> Aggregate:
        """Σ TP / Σ (TP + FN) over labels."""
        return ratio(self.hits.sum(axis=0), self.positives.sum(axis=0))

    @cached_property
    def micro_f1(self) -> Aggregate:
        """2 Σ TP / Σ (2 TP + FP + FN) over labels."""
        return ratio(2 * self.hits.sum(axis=0), (self.positives + self.decided).sum(axis=0))

    def _sample_mean(self, values: Shaped[np.ndarray, " n"]) -> Aggregate:
        return ratio(self._weighted(values[:, None])[0], self.total)

    @cached_property
    def element_accuracy(self) -> Aggregate:
        """Share of right decisions among all n × l decisions."""
        return self._sample_mean((self.target == self.decision).mean(axis=1))

    @cached_property
    def exact_match(self) -> Aggregate:
        """Share of samples of which every label is right; the accuracy where a sample has one label."""
        return self._sample_mean((self.target == self.decision).all(axis=1))

    @cached_property
    def sample_jaccard(self) -> Aggregate:
        """Mean over samples of |target ∧ decision| / |target ∨ decision|; 1 where both are empty."""
        both = (self.target & self.decision).sum(axis=1)
        either = (self.target | self.decision).sum(axis=1)
        return self._sample_mean(np.where(either == 0, 1.0, both / np.maximum(either, 1)))

    @cached_property
    def _confusion(self) -> Float[np.ndarray, "l l b"]:
        num_labels = self.target.shape[1]
        cells = (self.target[:, :, None] & self.decision[:, None, :]).reshape(len(self.target), -1)
        return self._weighted(cells).reshape(num_labels, num_labels, -1)

    def confusion_kappa(self, cost: Num[np.ndarray, "l l"]) -> Aggregate:
        """1 - Σ cost observed / Σ cost expected over the cells of the confusion matrix.

        Each sample carries exactly one label.

        Args:
            cost: Cost of each pair of true and decided class; 0 on the diagonal.
        """
        expected = self.positives[:, None] * self.decided[None, :] / np.maximum(self.total, 1)
        observed_cost = np.einsum("tdb,td->b", self._confusion, cost)
        return 1 - ratio(observed_cost, np.einsum("tdb,td->b", expected, cost))

    @cached_property
    def cohen_kappa(self) -> Aggregate:
        """Cohen's kappa over the classes."""
        return self.confusion_kappa(1 - np.eye(self.target.shape[1]))

    @cached_property
    def quadratic_kappa(self) -> Aggregate:
        """Cohen's kappa with the cost (i - j)² between the grades i and j."""
        return self.confusion_kappa(self._grade_distance**2)

    @cached_property
    def mean_absolute_error(self) -> Aggregate:
        """Mean |grade - decided grade|."""
        return ratio(np.einsum("tdb,td->b", self._confusion, self._grade_distance), self.total)

    @property
    def _grade_distance(self) -> Int[np.ndarray, "l l"]:
        grades = np.arange(self.target.shape[1])
        distance: Int[np.ndarray, "l l"] = np.abs(grades[:, None] - grades[None, :])
        return distance


def ratio(numerator: Num[np.ndarray, " *s"], denominator: Num[np.ndarray, " *s"]) -> Float[np.ndarray, " *s"]:
    """numerator / denominator; NaN where the denominator is 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(denominator == 0, np.nan, numerator / denominator)


def mean_over_labels(values: Float[np.ndarray, "l b"]) -> Float[np.ndarray, " b"]:
    """Mean over the labels that have a value; NaN where none has."""
    defined = ~np.isnan(values)
    return ratio(np.where(defined, values, 0).sum(axis=0), defined.sum(axis=0))


def binary_kappa(
    hits: Float[np.ndarray, " *s"],
    positives: Float[np.ndarray, " *s"],
    decided: Float[np.ndarray, " *s"],
    total: Float[np.ndarray, " b"],
) -> Float[np.ndarray, " *s"]:
    """(p_o - p_e) / (1 - p_e) of a two-by-two table; NaN where p_e is 1.

    Args:
        hits: Number of true positives.
        positives: Number of samples that carry the label.
        decided: Number of samples that are said to carry it.
        total: Number of samples.
    """
    observed = total - positives - decided + 2 * hits
    expected = (positives * decided + (total - positives) * (total - decided)) / np.maximum(total, 1)
    return ratio(observed - expected, total - expected)
