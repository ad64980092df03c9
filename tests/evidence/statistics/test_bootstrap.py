import numpy as np
import pytest
from sklearn.metrics import average_precision_score, f1_score, roc_auc_score

from study.evidence.metrics import metrics_of
from study.evidence.statistics.bootstrap import DecidedPredictions, Resamples, interval, resampled_values
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


def test_an_interval_leaves_undefined_resamples_out() -> None:
    values = np.append(np.linspace(0, 1, 101), np.nan)
    assert interval(values) == pytest.approx((0.025, 0.975))
    assert interval(values, 0.5) == pytest.approx((0.25, 0.75))
    assert np.isnan(interval(np.array([np.nan]))).all()
