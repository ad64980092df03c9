"""The replay of recorded learning curves: the process that is fitted to them, and the real noise."""

import json
import math

import numpy as np
import pytest
from pyarrow import parquet
from recorded_space import EPOCHS
from replay import CURVES, Process, Replay
from search import Choice, share, values_at

from study.spec.holes import Scalar


@pytest.fixture(scope="module")
def replay() -> Replay:
    return Replay()


def test_a_process_gives_a_smooth_function_back_and_finds_out_which_coordinate_matters() -> None:
    points = np.random.default_rng(0).uniform(size=(80, 2))
    outputs = np.column_stack([np.sin(4 * points[:, 0]), points[:, 0] ** 2])
    process = Process(points[:60], outputs[:60], np.array([0, 1]))
    np.testing.assert_allclose(process(points[60:]), outputs[60:], atol=0.02)
    along, across = (process.gaps(np.zeros((1, 2)), np.eye(2)[[i]])[0, 0] for i in (0, 1))
    assert along > 20 * across


@pytest.mark.slow  # the process is fitted anew
def test_the_mean_curves_are_those_of_the_recorded_trainings(replay: Replay) -> None:
    rows = parquet.read_table(CURVES).to_pylist()
    assert replay.num_trainings == len(rows)
    recorded = np.array([max(row["value"]) for row in rows])
    played = np.array([replay.curve(json.loads(row["params"])).max() for row in rows])
    assert np.corrcoef(recorded, played)[0, 1] > 0.9


@pytest.mark.slow  # the process is fitted anew
def test_noise_is_that_of_recorded_seeds(replay: Replay) -> None:
    params: dict[str, Scalar] = json.loads(parquet.read_table(CURVES)["params"][0].as_py())
    drawn = [replay.noise(params, np.random.default_rng(seed)) for seed in range(60)]
    assert drawn[0].shape == (EPOCHS,)
    assert 2 < len(np.unique(np.round(drawn, 9), axis=0)) <= 8
    assert 0.002 < np.std(drawn) < 0.05


def test_the_share_of_the_way_until_as_good_as_the_stock_recipe() -> None:
    stock = np.array([[math.nan, 0.2, 0.3, 0.4, 0.5]] * 2)
    assert share(np.array([[math.nan, 0.4, 0.5, 0.6, 0.6], [math.nan, 0.4, 0.5, 0.6, 0.6]]), stock) == 0.5
    assert share(stock - 0.01, stock) == math.inf


def test_the_choice_at_a_place_is_the_last_one_before_it() -> None:
    choices = [Choice(3, 1.0, 0.2), Choice(5, 2.0, 0.4)]
    found = values_at(choices, "epochs", np.array([0, 3, 4, 5, 9]))
    np.testing.assert_array_equal(found, [math.nan, 0.2, 0.2, 0.4, 0.4])
