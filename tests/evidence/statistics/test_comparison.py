from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from scipy.special import stdtr, stdtrit
from scipy.stats import kurtosis
from sklearn.metrics import roc_auc_score

from study.evidence.metrics import metrics_of
from study.evidence.statistics.bootstrap import DecidedPredictions
from study.evidence.statistics.comparison import delong, holm, mcnemar, paired
from study.evidence.statistics.estimate import Estimate, Support, combined, estimate
from study.evidence.statistics.jackknife import LeftOut
from study.evidence.statistics.verdict import TOLERANCE, Verdict, verdict_on
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
    groups = LeftOut(p.sample)
    made = [replace(p, patient=p.sample, score=score) for score in scores]
    return p.target, [estimate([AUC], [DecidedPredictions(m, m.score > 0.5)], groups)["auc"][0] for m in made]


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


def test_delong_agrees_with_the_paired_test() -> None:
    rng = np.random.default_rng(0)
    target = fake_predictions(num_samples=400, num_labels=2).target
    base = rng.random(target.shape)
    scores = [(base + strength * target).astype(np.float32) / 2 for strength in (0.4, 0.3)]
    target, (row, reference) = estimates_of(*scores)
    by_resampling = paired(row, reference)
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


def of_shares(*right: Sequence[float] | np.ndarray, first_seed: int = 0, carriers: int = 9) -> Estimate:
    """The mean of each seed's numbers, one for each patient, with a label's number of carriers."""
    by_seed = np.array(right, dtype=float)
    points = by_seed.mean(axis=1)
    num = by_seed.shape[1]
    left_out = (by_seed.sum(axis=1, keepdims=True) - by_seed) / (num - 1)
    support = Support(carriers=(carriers,), min_carriers=5)
    return combined(points, left_out, np.arange(len(points)) + first_seed, support)


def test_the_paired_test_of_means_is_students() -> None:
    rng = np.random.default_rng(0)
    ours, theirs = rng.random((2, 40))
    found = paired(of_shares(ours), of_shares(theirs))
    difference = ours - theirs
    error = difference.std(ddof=1) / np.sqrt(40)
    df = min(39, 2 * 40 / (kurtosis(difference, fisher=False) - 1))
    assert found.difference == pytest.approx(difference.mean())
    assert found.p_value == pytest.approx(2 * stdtr(df, -abs(difference.mean()) / error))
    assert found.high == pytest.approx(difference.mean() + stdtrit(df, 0.975) * error)


def test_a_p_value_can_be_as_small_as_any_correction_needs() -> None:
    rng = np.random.default_rng(0)
    better, worse = rng.random(200) + 1, rng.random(200)
    assert paired(of_shares(better), of_shares(worse)).p_value < 1e-20


def test_equal_rows_have_p_1_and_what_no_patient_changes_has_none() -> None:
    values = np.random.default_rng(0).random(30)
    same = paired(of_shares(values), of_shares(values))
    assert (same.difference, same.p_value) == (0, 1)
    assert np.isnan(same.low)
    assert np.isnan(paired(of_shares(np.ones(30)), of_shares(np.zeros(30))).p_value)


def test_rows_with_too_few_carriers_are_not_tested() -> None:
    better, worse = np.random.default_rng(0).random((2, 30)) + np.array([[1], [0]])
    found = paired(of_shares(better, carriers=4), of_shares(worse, carriers=4))
    assert found.difference > 0.5
    assert np.isnan([found.p_value, found.low, found.high]).all()


def test_the_same_seeds_are_compared_seed_by_seed_and_others_apart() -> None:
    rng = np.random.default_rng(0)
    patients, seeds = rng.random(60), np.array([0.0, 0.3, 0.6])
    ours = [patients + seed for seed in seeds]
    theirs = [patients / 2 + seed + shift for seed, shift in zip(seeds, (0.01, 0.0, -0.01), strict=True)]
    by_seed = paired(of_shares(*ours), of_shares(*theirs))
    apart = paired(of_shares(*ours), of_shares(*theirs, first_seed=5))
    assert by_seed.p_value < 1e-6 < 0.05 < apart.p_value
    assert by_seed.difference == pytest.approx(apart.difference)


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


def verdict(value: float, *, published: float, error: float, num_published: int = 0) -> Verdict:
    values = value + error * np.sqrt(99) * np.tile([-1.0, 1.0], 50)
    return verdict_on(published, of_shares(values), 100, num_published)


def test_verdicts_are_equivalence_tests_with_both_errors() -> None:
    near = verdict(0.80, published=0.805, error=0.01)
    assert near.conclusion == "reproduced"
    assert near.difference == pytest.approx(-0.005)
    assert near.low == pytest.approx(-0.005 - stdtrit(99, 0.95) * np.sqrt(2) * 0.01)
    assert verdict(0.80, published=0.90, error=0.01).conclusion == "not reproduced"
    assert verdict(0.80, published=0.84, error=0.01).conclusion == "cannot tell"
    of_many = verdict(0.80, published=0.805, error=0.01, num_published=400)
    assert of_many.low == pytest.approx(-0.005 - stdtrit(99, 0.95) * np.sqrt(1.25) * 0.01)


def test_a_small_test_set_cannot_tell_and_says_how_many_patients_could() -> None:
    found = verdict(0.80, published=0.80, error=0.04, num_published=2000)
    needed = (TOLERANCE / (1.644854 + 1.281552)) ** 2 - 0.04**2 / 20
    assert found.conclusion == "cannot tell"
    assert found.patients == np.ceil(100 * 0.04**2 / needed)
    assert verdict(0.80, published=0.80, error=0.02).patients == 0  # the published error alone is too large
    assert verdict(0.80, published=0.40, error=0.05).conclusion == "not reproduced"


def test_a_number_without_an_interval_has_no_verdict() -> None:
    few = of_shares(np.random.default_rng(0).random(100), carriers=4)
    assert verdict_on(0.5, few, 100).conclusion == "cannot tell"


def test_none_right_has_the_error_of_its_interval() -> None:
    values = np.zeros(49)
    found = verdict_on(0.829, of_shares(values), 49)
    assert found.conclusion == "not reproduced"
    assert found.low < found.difference < found.high


def test_the_paired_test_is_stambos() -> None:
    oracle = pytest.importorskip("stambo", reason="an oracle that is not a dependency")
    rng = np.random.default_rng(0)
    target = fake_predictions(num_samples=300, num_labels=2).target
    base = rng.random(target.shape)
    scores = [(base + strength * target).astype(np.float32) / 2 for strength in (0.35, 0.3)]
    target, (row, reference) = estimates_of(*scores)
    found = paired(row, reference)
    theirs, ours = scores[1][:, 0], scores[0][:, 0]
    expected = oracle.compare_models(
        target[:, 0].astype(int), theirs, ours, ("ROCAUC",), n_bootstrap=2000, seed=1, silent=True
    )
    p_value, difference, low, high, *_ = expected["ROCAUC"]
    assert found.difference == pytest.approx(difference, abs=1e-6)
    assert (found.low, found.high) == pytest.approx((low, high), abs=0.004)
    assert found.p_value == pytest.approx(p_value, abs=0.02)
