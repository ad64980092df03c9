import numpy as np
import pytest
from scipy.special import stdtrit
from scipy.stats import kurtosis

from study.evidence.statistics.jackknife import Deviation, LeftOut, jackknife


def without_each(values: np.ndarray) -> list[np.ndarray]:
    return [np.delete(values, i) for i in range(len(values))]


def test_all_samples_of_a_patient_leave_together() -> None:
    weights = LeftOut(["a", "b", "c"]).weights(["c", "a", "c", "b"])
    np.testing.assert_array_equal(weights, [[1, 1, 0], [0, 1, 1], [1, 1, 0], [1, 0, 1]])
    with pytest.raises(ValueError, match="`patient`: must be among the given patients, got `d`"):
        LeftOut(["a"]).weights(["a", "d"])


def test_more_patients_than_groups_leave_in_groups_of_equal_size() -> None:
    patients = [f"p{i:03d}" for i in range(90)]
    groups = LeftOut(patients, max_groups=40)
    assert groups.num == 30
    weights = groups.weights(patients)
    assert (weights == 0).sum(axis=0).tolist() == [3] * 30
    assert (weights == 0).sum(axis=1).tolist() == [1] * 90


def test_the_variance_of_a_mean_is_the_one_of_the_textbook() -> None:
    values = np.random.default_rng(0).exponential(size=40)
    found = jackknife(values.mean(), np.array([part.mean() for part in without_each(values)]))
    assert found.bias == pytest.approx(0, abs=1e-12)
    assert found.variance == pytest.approx(values.var(ddof=1) / 40)
    assert found.df == pytest.approx(2 * 40 / (kurtosis(values, fisher=False) - 1))


def test_the_bias_of_the_plain_variance_is_removed() -> None:
    values = np.random.default_rng(1).normal(size=25)
    found = jackknife(values.var(), np.array([part.var() for part in without_each(values)]))
    assert values.var() - found.bias == pytest.approx(values.var(ddof=1))


def test_two_influences_leave_few_degrees_of_freedom() -> None:
    values = np.zeros(50)
    values[:2] = [1, -1]
    found = jackknife(0.0, np.array([part.mean() for part in without_each(values)]))
    assert found.df == pytest.approx(100 / 24)
    assert found.reach == pytest.approx(stdtrit(100 / 24, 0.975))


def test_no_influence_is_no_error_and_an_undefined_group_an_unknown_one() -> None:
    assert jackknife(0.5, np.full(30, 0.5)).error == 0
    assert np.isnan(jackknife(0.5, np.append(np.full(29, 0.5), np.nan)).error)
    assert np.isnan(jackknife(0.5, np.array([0.5])).error)


def test_variances_add_by_satterthwaite() -> None:
    found = Deviation(0.0, 2.0, 10.0).plus(1.0, 2.0)
    assert found.variance == 3
    assert found.df == pytest.approx(9 / (4 / 10 + 1 / 2))
    assert Deviation(0.0, 0.0, 10.0).plus(0.0, 2.0).df == 10
