import numpy as np
import pytest
from scipy.special import expit, logit
from sklearn.calibration import calibration_curve
from sklearn.metrics import log_loss, roc_curve

from study.evidence.statistics.calibration import apply_temperature, events_of, fit_temperature, reliability
from study.evidence.statistics.operating import at_specificity, at_threshold, roc_points
from study.spec.task import LabelKind


def scores_of_temperature(
    temperature: float, kind: LabelKind = "multilabel"
) -> tuple[np.ndarray, np.ndarray]:
    """Labels, and scores whose temperature is known; above 1 they are too near 0 and 1."""
    num_samples = 3000
    rng = np.random.default_rng(0)
    if kind == "multilabel":
        true = rng.random((num_samples, 3))
        return (rng.random(true.shape) < true).astype(np.int8), expit(temperature * logit(true))
    true = rng.dirichlet(np.ones(4), num_samples)
    drawn = (rng.random((num_samples, 1)) > true.cumsum(axis=1)[:, :-1]).sum(axis=1)
    sharp = true**temperature
    return np.eye(4, dtype=np.int8)[drawn], sharp / sharp.sum(axis=1, keepdims=True)


def test_the_floor_is_what_perfect_scores_reach_on_so_few_samples() -> None:
    rng = np.random.default_rng(1)
    probability = rng.random(49)
    errors = [reliability(rng.random(49) < probability, probability).error for _ in range(400)]
    found = reliability(rng.random(49) < probability, probability)
    assert found.floor == pytest.approx(np.quantile(errors, 0.95), rel=0.1)
    assert reliability(np.ones(4), np.ones(4)).floor == 0


def test_the_diagram_is_scikit_learns() -> None:
    target, score = scores_of_temperature(2.0)
    happened, probability = events_of(target, score, "multilabel")
    found = reliability(happened, probability, 10)
    observed, predicted = calibration_curve(happened, probability, n_bins=10)
    np.testing.assert_allclose(found.observed[found.count > 0], observed)
    np.testing.assert_allclose(found.predicted[found.count > 0], predicted)
    by_hand = 0.0
    for low in np.arange(10) / 10:
        inside = (probability > low) & (probability <= low + 0.1)
        by_hand += inside.mean() * abs(happened[inside].mean() - probability[inside].mean())
    assert found.error == pytest.approx(by_hand, abs=1e-3)
    assert found.count.sum() == len(probability)


def test_empty_bins_are_undefined_and_do_not_count() -> None:
    found = reliability(np.array([1, 0]), np.array([0.0, 1.0]), 4)
    assert found.count.tolist() == [1, 0, 0, 1]
    assert np.isnan(found.observed[1:3]).all()
    assert found.error == 1


def test_classes_are_judged_by_the_confidence_of_the_decided_one() -> None:
    score = np.array([[0.2, 0.8], [0.6, 0.4]])
    happened, probability = events_of(np.array([[0, 1], [0, 1]]), score, "classes")
    assert happened.tolist() == [True, False]
    assert probability.tolist() == [0.8, 0.6]


@pytest.mark.parametrize("kind", ["multilabel", "classes"])
@pytest.mark.parametrize("true", [0.5, 1.0, 3.0])
def test_the_temperature_is_found_and_mends_the_error(kind: LabelKind, true: float) -> None:
    target, score = scores_of_temperature(true, kind)
    found = fit_temperature(target, score, kind)
    assert found == pytest.approx(true, rel=0.1)
    mended = apply_temperature(score, found, kind)
    assert reliability(*events_of(target, mended, kind)).error < 0.03
    before = log_loss(target.ravel(), np.clip(score, 1e-6, 1 - 1e-6).ravel())
    assert log_loss(target.ravel(), mended.ravel()) <= before + 1e-9
    np.testing.assert_array_equal(mended.argmax(axis=1), score.argmax(axis=1))


def test_scores_of_zero_and_one_stay_finite() -> None:
    target = np.array([[1, 0], [0, 1]])
    score = np.array([[1.0, 0.0], [1.0, 0.0]])
    temperature = fit_temperature(target, score, "multilabel")
    assert np.isfinite(apply_temperature(score, temperature, "multilabel")).all()


def test_the_points_are_scikit_learns() -> None:
    rng = np.random.default_rng(0)
    target, score = rng.random(60) < 0.4, rng.integers(0, 12, 60) / 11
    _, sensitivity, specificity = roc_points(target, score)
    false_alarms, found, _ = roc_curve(target, score, drop_intermediate=False)
    np.testing.assert_allclose(sensitivity, found)
    np.testing.assert_allclose(1 - specificity, false_alarms)


@pytest.mark.parametrize("wanted", [0.0, 0.5, 0.8, 0.95, 1.0])
def test_no_threshold_finds_more_at_the_wanted_specificity(wanted: float) -> None:
    rng = np.random.default_rng(1)
    target = rng.random(80) < 0.3
    score = (rng.random(80) + 0.4 * target).round(2)
    point = at_specificity(target, score, wanted)
    assert point.specificity >= wanted
    every = [at_threshold(target, score, t) for t in [*np.unique(score), -1.0]]
    assert point.sensitivity == max(p.sensitivity for p in every if p.specificity >= wanted)
    assert at_threshold(target, score, point.threshold) == point


def test_one_class_alone_has_no_points() -> None:
    with pytest.raises(ValueError, match="must hold samples with and without the label"):
        at_specificity(np.ones(4), np.linspace(0, 1, 4), 0.9)
    assert np.isnan(at_threshold(np.ones(4), np.linspace(0, 1, 4), 0.5).specificity)
