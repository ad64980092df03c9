from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import binomtest

from study.evidence.decisions import decide
from study.evidence.metrics import metrics_of
from study.evidence.statistics.bootstrap import DecidedPredictions
from study.evidence.statistics.estimate import Estimate, estimate, wilson
from study.evidence.statistics.jackknife import LeftOut, jackknife
from tests.evidence.fakes import fake_predictions

METRICS = metrics_of("multilabel")


def decided(
    split: str = "test", *, num_samples: int = 30, seed: int = 0, signal: float = 0.4
) -> DecidedPredictions:
    made = fake_predictions(split=split, num_samples=num_samples, seed=seed, signal=signal)
    return DecidedPredictions(made, made.score > 0.5, seed=seed)


def test_the_interval_of_a_share_is_wilsons() -> None:
    training = decided(num_samples=400, signal=0.0)
    sample = training.predictions.sample
    lone = DecidedPredictions(replace(training.predictions, patient=sample), training.decision)
    found = estimate([METRICS["exact_match"]], [lone], LeftOut(sample))["exact_match"][0]
    error = np.sqrt(found.value * (1 - found.value) / 399)
    assert found.spread == pytest.approx(error, rel=1e-6)
    expected = binomtest(round(found.value * 400), 400).proportion_ci(method="wilson")
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=1e-3)


def test_patients_with_several_samples_widen_the_interval() -> None:
    training = decided(num_samples=200)
    four = np.repeat(np.arange(200), 4)
    many = replace(
        training.predictions,
        sample=[str(i) for i in range(800)],
        target=training.predictions.target[four],
        score=training.predictions.score[four],
    )
    spread = {}
    for num_patients in (200, 800):
        patient = [str(i * num_patients // 800) for i in range(800)]
        repeated = DecidedPredictions(replace(many, patient=patient), training.decision[four])
        found = estimate([METRICS["macro_f1"]], [repeated], LeftOut(patient))
        spread[num_patients] = found["macro_f1"][0].spread
    assert spread[200] == pytest.approx(2 * spread[800], rel=0.15)


def test_seeds_are_averaged_and_widen_the_interval() -> None:
    trainings = [decided(num_samples=100, seed=s, signal=0.2 + 0.2 * s) for s in range(3)]
    groups = LeftOut(trainings[0].predictions.patient)
    one = [estimate([METRICS["macro_auc"]], [training], groups)["macro_auc"][0] for training in trainings]
    together = estimate([METRICS["macro_auc"]], trainings, groups)["macro_auc"][0]
    points = np.array([e.value for e in one])
    assert together.value == pytest.approx(points.mean())
    assert together.spread == pytest.approx(
        np.sqrt(np.mean([e.spread**2 for e in one]) + points.var(ddof=1)), rel=1e-6
    )
    over_patients = jackknife(points.mean(), np.mean([e.left_out for e in one], axis=0))
    between = points.var(ddof=1) / 3
    assert together.deviation.variance == pytest.approx(over_patients.variance + between)
    expected = (over_patients.variance + between) ** 2 / (
        over_patients.variance**2 / over_patients.df + between**2 / 2
    )
    assert together.deviation.df == pytest.approx(expected)


def test_the_folds_of_a_seed_are_averaged() -> None:
    folds = [decided(f"fold{i}", num_samples=50, seed=i) for i in range(2)]
    trainings = [DecidedPredictions(f.predictions, f.decision, seed=0, fold=i) for i, f in enumerate(folds)]
    groups = LeftOut(folds[0].predictions.patient)
    together = estimate([METRICS["macro_auc"]], trainings, groups)["macro_auc"][0]
    one = [estimate([METRICS["macro_auc"]], [training], groups)["macro_auc"][0] for training in trainings]
    np.testing.assert_allclose(together.left_out, np.mean([e.left_out for e in one], axis=0))
    assert np.isnan(together.between)
    assert together.value == pytest.approx(np.mean([e.value for e in one]))


def test_a_label_that_is_never_seen_has_no_interval() -> None:
    training = decided(num_samples=80)
    training.predictions.target[:, 1] = 0
    found = estimate([METRICS["auc"]], [training], LeftOut(training.predictions.patient))["auc"]
    assert np.isnan([found[1].value, found[1].low, found[1].high, found[1].spread]).all()
    assert found[0].low < found[0].value < found[0].high


def training_with(target: np.ndarray, score: np.ndarray) -> DecidedPredictions:
    """Single samples of as many patients, decided at one half."""
    made = fake_predictions(num_samples=len(target), num_labels=target.shape[1])
    made = replace(made, patient=made.sample, target=target.astype(np.int8), score=score.astype(float))
    return DecidedPredictions(made, made.score > 0.5)


def estimated(training: DecidedPredictions, *names: str) -> list[Estimate]:
    found = estimate([METRICS[n] for n in names], [training], LeftOut(training.predictions.patient))
    return [found[name][0] for name in names]


def test_nothing_right_of_49_has_the_upper_end_of_wilson() -> None:
    target = np.zeros((49, 2))
    target[:20] = 1
    wrong = 1 - target
    exact, recall = estimated(training_with(target, wrong), "exact_match", "recall")
    assert (exact.value, exact.low) == (0, 0)
    assert exact.high == pytest.approx(binomtest(0, 49).proportion_ci(method="wilson").high, abs=1e-4)
    assert recall.high == pytest.approx(binomtest(0, 20).proportion_ci(method="wilson").high, abs=1e-4)


def test_a_perfect_ranking_is_not_certain() -> None:
    target = np.zeros((60, 1))
    target[:12] = 1
    auc, precision, macro = estimated(
        training_with(target, np.linspace(1, 0, 60)[:, None]), "auc", "average_precision", "macro_auc"
    )
    assert auc.value == precision.value == macro.value == 1
    assert 0.75 < precision.low == pytest.approx(wilson(1.0, 12.0, 1.959964)[0], abs=1e-4)
    assert precision.low < auc.low < 0.95
    assert auc.high == precision.high == macro.high == 1
    assert macro.low < 1


def test_what_no_patient_changes_has_no_interval() -> None:
    target = np.zeros((60, 1))
    target[:20] = 1
    auc = estimated(training_with(target, np.full((60, 1), 0.3)), "macro_auc")[0]
    assert auc.value == 0.5
    assert np.isnan([auc.low, auc.high]).all()


def test_few_carriers_give_no_interval_but_shares_of_counts_have_one() -> None:
    rng = np.random.default_rng(0)
    target = np.zeros((60, 2))
    target[:3, 0] = target[:30, 1] = 1
    names = ("average_precision", "macro_average_precision", "recall", "odir_kappa")
    training = training_with(target, np.clip(0.4 * target + 0.6 * rng.random((60, 2)), 0, 1))
    precision, mean, recall, kappa = estimated(training, *names)
    assert precision.support.carriers == (3,)
    assert mean.support.carriers == (3, 30)
    assert np.isnan([precision.low, mean.low]).all()
    assert recall.low < recall.value <= recall.high
    assert kappa.low < kappa.value < kappa.high


def test_a_label_that_nobody_carries_is_no_part_of_a_mean() -> None:
    rng = np.random.default_rng(0)
    target = np.zeros((60, 2))
    target[:30, 1] = 1
    mean = estimated(training_with(target, 0.3 * target + 0.6 * rng.random((60, 2))), "macro_auc")[0]
    assert mean.support.carriers == (0, 30)
    assert mean.low < mean.value < mean.high


def test_wilsons_interval_is_scipys() -> None:
    for right in (0, 3, 49):
        expected = binomtest(right, 49).proportion_ci(method="wilson")
        assert wilson(right / 49, 49.0, 1.959964) == pytest.approx((expected.low, expected.high), abs=1e-6)


def test_an_interval_of_an_error_has_no_logit() -> None:
    grades = metrics_of("grades")["mean_absolute_error"]
    made = fake_predictions(kind="grades", num_samples=80, num_labels=4)
    training = DecidedPredictions(made, decide(made.score, "grades", 0.5))
    found = estimate([grades], [training], LeftOut(made.patient))["mean_absolute_error"][0]
    half = found.deviation.reach * found.deviation.error
    assert (found.low, found.high) == pytest.approx((found.value - half, found.value + half))


def test_the_interval_is_the_one_of_confidenceinterval() -> None:
    oracle = pytest.importorskip("confidenceinterval", reason="an oracle that is not a dependency")
    p = fake_predictions(num_samples=400, signal=0.15)
    lone = DecidedPredictions(replace(p, patient=p.sample), p.score > 0.5)
    found = estimate([METRICS["auc"]], [lone], LeftOut(p.sample))["auc"][0]
    value, ends = oracle.roc_auc_score(p.target[:, 0].tolist(), p.score[:, 0].astype(float).tolist())
    assert found.value == pytest.approx(value, rel=1e-6)
    assert (found.low, found.high) == pytest.approx(tuple(ends), abs=0.01)
