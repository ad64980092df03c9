from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, f1_score, roc_auc_score

from study.evidence.metrics import metrics_of
from study.evidence.statistics.bootstrap import (
    DecidedPredictions,
    Resamples,
    estimate,
    interval,
    resampled_values,
)
from tests.evidence.fakes import fake_predictions

METRICS = metrics_of("multilabel")


def decided(
    split: str = "test", *, num_samples: int = 30, seed: int = 0, signal: float = 0.4
) -> DecidedPredictions:
    made = fake_predictions(split=split, num_samples=num_samples, seed=seed, signal=signal)
    return DecidedPredictions(made, made.score > 0.5, seed=seed)


def test_all_samples_of_a_patient_move_together() -> None:
    weights = Resamples(["a", "b", "c"], num=50).weights(["c", "a", "c", "b"])
    np.testing.assert_array_equal(weights[0], weights[2])
    assert (weights[[0, 1, 3]].sum(axis=0) == 3).all()
    assert len(np.unique(weights, axis=1).T) > 5
    with pytest.raises(ValueError, match="`patient`: must be among the resampled patients, got `d`"):
        Resamples(["a"]).weights(["a", "d"])


def test_the_same_seed_gives_the_same_resamples() -> None:
    patients = [f"p{i}" for i in range(20)]
    first = Resamples(patients, num=10, seed=3).weights(patients)
    np.testing.assert_array_equal(first, Resamples(reversed(patients), num=10, seed=3).weights(patients))
    assert not np.array_equal(first, Resamples(patients, num=10, seed=4).weights(patients))


def test_resampled_values_are_those_of_the_drawn_rows() -> None:
    training = decided(num_samples=60)
    target, score = training.predictions.target, training.predictions.score
    weights = Resamples(training.predictions.patient, num=40).weights(training.predictions.patient)
    wanted = [METRICS[name] for name in ("auc", "average_precision", "f1", "macro_f1", "odir_auc")]
    found = resampled_values(wanted, training, weights)
    for b in range(40):
        rows = np.repeat(np.arange(60), weights[:, b].astype(int))
        truth, drawn, decision = target[rows], score[rows], training.decision[rows]
        if not truth.any(axis=0).all():
            continue
        expected = {
            "auc": roc_auc_score(truth, drawn, average=None),
            "average_precision": average_precision_score(truth, drawn, average=None),
            "f1": f1_score(truth, decision, average=None),
            "macro_f1": [f1_score(truth, decision, average="macro")],
            "odir_auc": [roc_auc_score(truth.ravel(), drawn.ravel())],
        }
        for name, values in expected.items():
            np.testing.assert_allclose(found[name][:, b], values, rtol=1e-5, err_msg=name)


def test_many_resamples_are_computed_in_parts_without_a_seam() -> None:
    training = decided(num_samples=300)
    weights = Resamples(training.predictions.patient, num=250).weights(training.predictions.patient)
    whole = resampled_values([METRICS["macro_auc"]], training, weights)["macro_auc"][0]
    assert len(whole) == 250
    for b in (0, 108, 109, 110, 249):
        alone = resampled_values([METRICS["macro_auc"]], training, weights[:, b : b + 1])["macro_auc"][0, 0]
        assert alone == pytest.approx(whole[b], rel=1e-5)


def test_the_interval_of_a_share_is_the_binomial_one() -> None:
    training = decided(num_samples=400, signal=0.0)
    sample = training.predictions.sample
    lone = DecidedPredictions(replace(training.predictions, patient=sample), training.decision)
    found = estimate([METRICS["exact_match"]], [lone], Resamples(sample))["exact_match"][0]
    error = np.sqrt(found.value * (1 - found.value) / 400)
    assert found.spread == pytest.approx(error, rel=0.1)
    assert (found.low, found.high) == pytest.approx(
        (found.value - 1.96 * error, found.value + 1.96 * error), abs=0.008
    )


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
        found = estimate([METRICS["macro_f1"]], [repeated], Resamples(patient))
        spread[num_patients] = found["macro_f1"][0].spread
    assert spread[200] == pytest.approx(2 * spread[800], rel=0.15)


def test_seeds_are_averaged_and_widen_the_interval() -> None:
    trainings = [decided(num_samples=100, seed=s, signal=0.2 + 0.2 * s) for s in range(3)]
    resamples = Resamples(trainings[0].predictions.patient)
    one = [estimate([METRICS["macro_auc"]], [training], resamples)["macro_auc"][0] for training in trainings]
    together = estimate([METRICS["macro_auc"]], trainings, resamples)["macro_auc"][0]
    points = np.array([e.value for e in one])
    assert together.value == pytest.approx(points.mean())
    assert together.spread == pytest.approx(
        np.sqrt(np.mean([e.spread**2 for e in one]) + points.var(ddof=1)), rel=1e-6
    )
    patients_only = np.mean([e.resampled for e in one], axis=0)
    assert together.resampled.var() == pytest.approx(patients_only.var() + points.var(ddof=1) / 3, rel=0.25)


def test_the_folds_of_a_seed_are_averaged() -> None:
    folds = [decided(f"fold{i}", num_samples=50, seed=i) for i in range(2)]
    trainings = [DecidedPredictions(f.predictions, f.decision, seed=0, fold=i) for i, f in enumerate(folds)]
    resamples = Resamples(folds[0].predictions.patient)
    together = estimate([METRICS["macro_auc"]], trainings, resamples)["macro_auc"][0]
    one = [estimate([METRICS["macro_auc"]], [training], resamples)["macro_auc"][0] for training in trainings]
    np.testing.assert_allclose(together.resampled, np.mean([e.resampled for e in one], axis=0))
    assert together.value == pytest.approx(np.mean([e.value for e in one]))


def test_a_label_that_is_never_seen_has_no_interval() -> None:
    training = decided()
    training.predictions.target[:, 1] = 0
    found = estimate([METRICS["auc"]], [training], Resamples(training.predictions.patient, num=50))["auc"]
    assert np.isnan([found[1].value, found[1].low, found[1].high, found[1].spread]).all()
    assert found[0].low < found[0].value < found[0].high


def test_an_interval_leaves_undefined_resamples_out() -> None:
    values = np.append(np.linspace(0, 1, 101), np.nan)
    assert interval(values) == pytest.approx((0.025, 0.975))
    assert interval(values, 0.5) == pytest.approx((0.25, 0.75))
    assert np.isnan(interval(np.array([np.nan]))).all()


def test_the_interval_is_the_one_of_confidenceinterval() -> None:
    oracle = pytest.importorskip("confidenceinterval", reason="an oracle that is not a dependency")
    p = fake_predictions(num_samples=400, signal=0.15)
    lone = DecidedPredictions(replace(p, patient=p.sample), p.score > 0.5)
    found = estimate([METRICS["auc"]], [lone], Resamples(p.sample))["auc"][0]
    value, ends = oracle.roc_auc_score(p.target[:, 0].tolist(), p.score[:, 0].astype(float).tolist())
    assert found.value == pytest.approx(value, rel=1e-6)
    assert (found.low, found.high) == pytest.approx(tuple(ends), abs=0.01)
