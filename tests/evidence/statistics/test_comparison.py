from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from study.evidence.metrics import metrics_of
from study.evidence.statistics.bootstrap import DecidedPredictions, Estimate, Resamples, estimate
from study.evidence.statistics.comparison import delong, holm, mcnemar, paired_bootstrap
from study.evidence.statistics.verdict import REPEATABILITY, Verdict, verdict_on
from tests.evidence.fakes import fake_predictions

AUC = metrics_of("multilabel")["auc"]


def pair_of_scores() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Target, scores and the scores of a weaker reference."""
    rng = np.random.default_rng(0)
    target = rng.random(150) < 0.4
    noise = rng.random(150)
    score = (noise + 0.3 * target + 0.3 * rng.random(150)) / 2
    return target, score, (noise + 0.1 * target) / 2


def estimates_of(*scores: np.ndarray) -> tuple[np.ndarray, list[Estimate]]:
    """The target, and the AUC of each matrix of scores."""
    p = fake_predictions(num_samples=len(scores[0]), num_labels=2)
    resamples = Resamples(p.sample)
    made = [replace(p, patient=p.sample, score=score) for score in scores]
    return p.target, [
        estimate([AUC], [DecidedPredictions(m, m.score > 0.5)], resamples)["auc"][0] for m in made
    ]


def test_delong_is_the_pairwise_formula() -> None:
    target, score, reference = pair_of_scores()
    found = delong(target, score, reference)
    kernels = [np.sign(s[target][:, None] - s[~target]) / 2 + 0.5 for s in (score, reference)]
    difference = kernels[0] - kernels[1]
    variance = (
        difference.mean(axis=1).var(ddof=1) / target.sum()
        + difference.mean(axis=0).var(ddof=1) / (~target).sum()
    )
    assert found.difference == pytest.approx(roc_auc_score(target, score) - roc_auc_score(target, reference))
    assert (found.high - found.low) / 2 == pytest.approx(1.959964 * np.sqrt(variance))


def test_delong_agrees_with_the_paired_bootstrap() -> None:
    rng = np.random.default_rng(0)
    target = fake_predictions(num_samples=400, num_labels=2).target
    base = rng.random(target.shape)
    scores = [(base + strength * target).astype(np.float32) / 2 for strength in (0.4, 0.3)]
    target, (row, reference) = estimates_of(*scores)
    by_resampling = paired_bootstrap(row, reference)
    by_formula = delong(target[:, 0], scores[0][:, 0].astype(float), scores[1][:, 0].astype(float))
    assert by_resampling.difference == pytest.approx(by_formula.difference, rel=1e-6)
    assert (by_resampling.low, by_resampling.high) == pytest.approx(
        (by_formula.low, by_formula.high), abs=0.004
    )
    assert by_resampling.p_value < 0.01
    assert by_formula.p_value < 0.01


def test_delong_without_a_difference_or_without_both_classes() -> None:
    target, score, _ = pair_of_scores()
    same = delong(target, score, score)
    assert (same.difference, same.low, same.high, same.p_value) == (0, 0, 0, 1)
    assert np.isnan(delong(np.ones(5), score[:5], score[5:10]).p_value)


def test_under_no_difference_p_is_small_as_often_as_it_should_be() -> None:
    rng = np.random.default_rng(0)
    random = []
    for _ in range(300):
        target = np.arange(60) % 3 == 0
        random.append(delong(target, rng.random(60) + 0.3 * target, rng.random(60) + 0.3 * target).p_value)
    assert 0.02 < np.mean(np.array(random) < 0.05) < 0.09  # 0.05 with a standard error of 0.013


def test_the_p_value_of_the_bootstrap_counts_the_tails() -> None:
    def fake(values: Sequence[float] | np.ndarray) -> Estimate:
        resampled = np.array(values, dtype=float)
        return Estimate(value=float(np.mean(resampled)), low=0.0, high=0.0, spread=0.0, resampled=resampled)

    reference = fake(np.zeros(99))
    assert paired_bootstrap(fake(np.ones(99)), reference).p_value == pytest.approx(2 / 100)
    assert paired_bootstrap(fake([-1.0] * 9 + [1.0] * 90), reference).p_value == pytest.approx(2 * 10 / 100)
    assert paired_bootstrap(fake(np.zeros(99)), reference).p_value == 1
    half_defined = paired_bootstrap(fake([np.nan] * 50 + [1.0] * 49), reference)
    assert half_defined.p_value == pytest.approx(2 / 50)
    assert np.isnan(paired_bootstrap(fake([np.nan] * 99), reference).p_value)


def test_mcnemar_is_the_exact_binomial_test() -> None:
    right = np.array([True] * 9 + [False] * 2 + [True] * 5)
    reference = np.array([False] * 9 + [True] * 2 + [True] * 5)
    by_hand = 2 * sum(np.prod([(11 - i) / (i + 1) for i in range(k)]) for k in range(3)) / 2**11
    assert mcnemar(right, reference) == pytest.approx(by_hand)
    assert mcnemar(right, right) == 1


def test_holm_steps_down_and_keeps_undefined_ones_out() -> None:
    assert holm([0.01, 0.04, 0.03, float("nan")])[:3] == pytest.approx([0.03, 0.06, 0.06])
    assert np.isnan(holm([0.01, float("nan")])[1])
    assert holm([0.5, 0.9]) == [1.0, 1.0]
    assert holm([]) == []


def verdict(value: float, *, published: float, spread: float, width: float) -> Verdict:
    resampled = value + width * np.linspace(-1, 1, 1001)
    ours = Estimate(value=value, low=0.0, high=0.0, spread=spread, resampled=resampled)
    return verdict_on(published, ours)


def test_verdicts_are_equivalence_tests_against_the_repeatability_limit() -> None:
    near = verdict(0.80, published=0.805, spread=0.015, width=0.02)
    assert near.conclusion == "reproduced"
    assert near.tolerance == pytest.approx(REPEATABILITY * 0.015)
    assert near.difference == pytest.approx(-0.005)
    assert near.low == pytest.approx(-0.005 - 0.9 * 0.02)
    far = verdict(0.80, published=0.90, spread=0.015, width=0.02)
    assert far.conclusion == "not reproduced"
    between = verdict(0.80, published=0.83, spread=0.015, width=0.02)
    assert between.conclusion == "cannot tell"


def test_a_small_test_set_cannot_reproduce_anything() -> None:
    wide = verdict(0.80, published=0.80, spread=0.10, width=0.16)
    assert wide.conclusion == "cannot tell"
    assert wide.tolerance == 0.05
    assert verdict(0.80, published=0.40, spread=0.10, width=0.16).conclusion == "not reproduced"
    nothing = Estimate(value=np.nan, low=np.nan, high=np.nan, spread=np.nan, resampled=np.array([np.nan]))
    assert verdict_on(0.8, nothing).conclusion == "cannot tell"


def test_the_paired_bootstrap_is_stambos() -> None:
    oracle = pytest.importorskip("stambo", reason="an oracle that is not a dependency")
    rng = np.random.default_rng(0)
    target = fake_predictions(num_samples=300, num_labels=2).target
    base = rng.random(target.shape)
    scores = [(base + strength * target).astype(np.float32) / 2 for strength in (0.35, 0.3)]
    target, (row, reference) = estimates_of(*scores)
    found = paired_bootstrap(row, reference)
    theirs, ours = scores[1][:, 0], scores[0][:, 0]
    expected = oracle.compare_models(
        target[:, 0].astype(int), theirs, ours, ("ROCAUC",), n_bootstrap=2000, seed=1, silent=True
    )
    p_value, difference, low, high, _, reference_low, reference_high, *_ = expected["ROCAUC"]
    assert found.difference == pytest.approx(difference, abs=1e-6)
    assert (found.low, found.high) == pytest.approx((low, high), abs=0.004)
    assert (reference.low, reference.high) == pytest.approx((reference_low, reference_high), abs=0.01)
    assert found.p_value == pytest.approx(p_value, abs=0.02)
