from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from study.evidence.metrics import metric_value, metrics_of
from study.evidence.predictions import Predictions
from study.evidence.statistics.bootstrap import Resamples
from study.evidence.statistics.selection import option_shares, selection_bootstrap
from tests.evidence.fakes import fake_predictions

METRIC = metrics_of("multilabel")["macro_auc"]


def trials_of(strengths: Sequence[float], num_samples: int = 60) -> list[Predictions]:
    first = fake_predictions(num_samples=num_samples)
    rng = np.random.default_rng(0)
    scores = [(rng.random(first.target.shape) + s * first.target).astype(np.float32) / 2 for s in strengths]
    return [replace(first, trial=f"search-{i:05d}", score=score) for i, score in enumerate(scores)]


def test_the_best_of_many_equal_trials_is_corrected_downwards() -> None:
    trials = trials_of([0.0] * 40)
    found = selection_bootstrap(METRIC, "multilabel", trials, "f1")
    assert found.naive == max(
        metric_value("macro_auc", "multilabel", t.target, t.score, "f1") for t in trials
    )
    assert found.naive > 0.57
    assert 0.43 < found.corrected < 0.52  # the truth is 0.5
    assert found.low < found.corrected < found.high
    assert found.pick_share.max() < 0.9


def test_a_clear_winner_is_hardly_corrected() -> None:
    found = selection_bootstrap(METRIC, "multilabel", trials_of([0.0, 0.1, 0.9]), "f1")
    assert found.pick_share[2] > 0.99
    assert found.corrected == pytest.approx(found.naive, abs=0.02)


def test_each_resample_is_scored_on_the_patients_left_out() -> None:
    trials = trials_of([0.2, 0.3], num_samples=30)
    found = selection_bootstrap(METRIC, "multilabel", trials, "f1", num_resamples=20, seed=5)
    weights = Resamples(trials[0].patient, 20, 5).weights(trials[0].patient)

    def value(trial: Predictions, rows: np.ndarray) -> float:
        return metric_value("macro_auc", "multilabel", trial.target[rows], trial.score[rows], "f1")

    everyone = np.arange(30)
    values, gained = [], []
    for b in range(20):
        inside = np.repeat(everyone, weights[:, b].astype(int))
        of_trials = [value(trial, inside) for trial in trials]
        best = trials[int(np.argmax(of_trials))]
        values.append(value(best, weights[:, b] == 0))
        gained.append(np.mean([value(best, weights[:, c] == 0) - value(best, everyone) for c in range(20)]))
    assert found.corrected == pytest.approx(np.mean(values) - np.mean(gained), rel=1e-5)


def test_what_fewer_patients_gain_is_no_part_of_the_correction() -> None:
    trials = trials_of([0.0, 0.0, 0.9], num_samples=40)
    found = selection_bootstrap(
        metrics_of("multilabel")["macro_average_precision"], "multilabel", trials, "f1"
    )
    assert found.pick_share[2] > 0.99
    assert found.corrected == pytest.approx(found.naive, abs=1e-3)


def test_a_loss_is_selected_downwards() -> None:
    trials = trials_of([0.0, 0.9])
    found = selection_bootstrap(
        metrics_of("multilabel")["hamming_loss"], "multilabel", trials, "f1", num_resamples=50
    )
    losses = [metric_value("hamming_loss", "multilabel", t.target, t.score, "f1") for t in trials]
    assert found.naive == min(losses)


def test_trials_of_other_samples_are_refused() -> None:
    one, two = fake_predictions(num_samples=20), fake_predictions(num_samples=21)
    with pytest.raises(ValueError, match="predictions of the same validation samples"):
        selection_bootstrap(METRIC, "multilabel", [one, two], "f1")
    with pytest.raises(ValueError, match="must be at least one"):
        selection_bootstrap(METRIC, "multilabel", [], "f1")


def test_options_share_the_picks_of_their_trials() -> None:
    share = np.array([0.5, 0.2, 0.2, 0.1])
    params = [
        {"fusion": "concat", "lr": 1e-3, "margin": 0.5},
        {"fusion": "difference", "lr": 1e-4},
        {"fusion": "concat", "lr": 3e-4, "margin": 1.0},
        {"fusion": "difference", "lr": 1e-5},
    ]
    found = option_shares(share, params).set_index(["parameter", "option"])
    assert found.loc[("fusion", "concat"), "probability"] == pytest.approx(0.7)
    assert found.loc[("fusion", "difference"), "tried"] == 0.5
    assert found.loc["margin"]["probability"].sum() == pytest.approx(0.7)
    rates = found.loc["lr"]
    assert len(rates) == 3
    assert rates["probability"].sum() == pytest.approx(1)
    assert rates["tried"].sum() == pytest.approx(1)
    assert rates["probability"].iloc[-1] == pytest.approx(0.5)
