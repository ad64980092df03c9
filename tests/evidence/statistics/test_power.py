from dataclasses import replace
from math import nan

import numpy as np
import pytest
from scipy.stats import ttest_1samp

from study.evidence.metrics import metrics_of
from study.evidence.statistics.bootstrap import DecidedPredictions
from study.evidence.statistics.estimate import Estimate, estimate
from study.evidence.statistics.jackknife import LeftOut
from study.evidence.statistics.power import Noise, noise_between
from tests.evidence.fakes import fake_predictions

ACCURACY = metrics_of("multilabel")["exact_match"]


def test_so_many_patients_show_the_difference_in_eight_of_ten_studies() -> None:
    difference, of_one = 0.05, 0.3
    noise = Noise(of_patients=of_one**2 / 100, of_seeds=nan, num_patients=100, num_seeds=1)
    patients = noise.patients_for(difference)
    assert patients is not None
    drawn = np.random.default_rng(0).normal(difference, of_one, (4000, patients))
    assert np.mean(ttest_1samp(drawn, 0, axis=1).pvalue < 0.05) == pytest.approx(0.8, abs=0.02)


def test_seeds_and_patients_share_the_variance() -> None:
    noise = Noise(of_patients=1e-4, of_seeds=3e-4, num_patients=200, num_seeds=3)
    allowed = (0.05 / 2.8016) ** 2
    assert noise.patients_for(0.05) == np.ceil(200 * 1e-4 / (allowed - 1e-4))
    assert noise.seeds_for(0.05) == np.ceil(3e-4 / (allowed - 1e-4))
    assert noise.patients_for(-0.05) == noise.patients_for(0.05)
    assert noise.patients_for(0.02) is noise.seeds_for(0.02) is None  # the other part alone hides it
    assert noise.seeds_for(1.0) == 1


def test_noise_is_that_of_the_paired_difference() -> None:
    drawn = fake_predictions(num_samples=300, num_labels=2)
    drawn = replace(drawn, patient=drawn.sample)
    rng = np.random.default_rng(1)
    groups = LeftOut(drawn.sample)

    def row(wrong: float) -> tuple[Estimate, list[np.ndarray]]:
        decided = [
            np.where(rng.random(drawn.target.shape) < wrong, 1 - drawn.target, drawn.target) > 0
            for _ in range(3)
        ]
        trainings = [DecidedPredictions(drawn, one, seed=seed) for seed, one in enumerate(decided)]
        return estimate([ACCURACY], trainings, groups)["exact_match"][0], decided

    (ours, first), (reference, second) = row(0.1), row(0.2)
    noise = noise_between(ours, reference, 300)
    assert noise is not None
    right = [np.array([(one == (drawn.target > 0)).all(1) for one in many]) for many in (first, second)]
    of_patient = (right[0].astype(float) - right[1]).mean(0)
    assert noise.of_patients == pytest.approx(of_patient.var(ddof=1) / 300, rel=0.05)
    of_seed = (right[0].astype(float) - right[1]).mean(1)
    assert noise.of_seeds == pytest.approx(of_seed.var(ddof=1))
    assert (noise.num_patients, noise.num_seeds) == (300, 3)
