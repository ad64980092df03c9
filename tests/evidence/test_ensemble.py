"""The ensemble: its members are found step by step, and no step is worse than the best member."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from study.evidence.ensemble import STEPS, mean_predictions, select_members
from study.evidence.metrics import metric_value
from study.evidence.predictions import Predictions

MEASURE = "macro_average_precision"


def predictions(trial: str, score: np.ndarray, target: np.ndarray) -> Predictions:
    names = [f"p{i}" for i in range(len(score))]
    return Predictions(
        trial=trial,
        head="network",
        setting="",
        split="val",
        sample=names,
        patient=names,
        target=target,
        score=score.astype(np.float32),
        synthetic=True,
    )


def library(seed: int, num: int = 5) -> dict[str, Predictions]:
    """Trials whose scores follow the truth, each with a noise of its own; the best first."""
    rng = np.random.default_rng(seed)
    target = (rng.random((40, 3)) < 0.4).astype(np.int8)
    target[:2] = [[1, 1, 1], [0, 0, 0]]
    found = {}
    for i in range(num):
        score = 1 / (1 + np.exp(-(target * 2.0 - 1) - rng.normal(size=target.shape) * (1 + 0.2 * i)))
        found[f"t{i}"] = predictions(f"t{i}", score, target)
    return dict(sorted(found.items(), key=lambda item: -value(item[1].score, item[1].target)))


def value(score: np.ndarray, target: np.ndarray) -> float:
    return metric_value(MEASURE, "multilabel", target, score, "f1")


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000))
def test_the_ensemble_is_never_worse_than_a_member_and_its_value_is_that_of_the_mean(
    seed: int,
) -> None:
    trials = library(seed)
    weights, found = select_members(trials, MEASURE, "multilabel", "f1")
    assert sum(weights.values()) == pytest.approx(1)
    assert found >= max(value(t.score.astype(float), t.target) for t in trials.values()) - 1e-12
    members = [trials[trial] for trial in weights]
    mean = mean_predictions(members, list(weights.values()), "e")
    assert value(mean.score, mean.target) == pytest.approx(found, abs=1e-4)


def test_each_step_takes_what_helps_most() -> None:
    trials = library(3)
    weights, _ = select_members(trials, MEASURE, "multilabel", "f1")
    names, added = list(trials), list[str]()
    values = []
    for _ in range(STEPS):
        after = {
            name: value(
                np.mean([trials[n].score.astype(float) for n in [*added, name]], axis=0), trials[name].target
            )
            for name in names
        }
        added.append(max(names, key=lambda name: round(after[name], 12)))
        values.append(after[added[-1]])
    length = int(np.argmax(np.round(values, 12))) + 1
    assert {name: added[:length].count(name) / length for name in added[:length]} == pytest.approx(weights)


def test_a_member_that_nothing_improves_stands_alone() -> None:
    target = np.eye(3, dtype=np.int8)
    perfect, noise = predictions("a", target * 1.0, target), predictions("b", 1.0 - target, target)
    assert select_members({"a": perfect, "b": noise}, MEASURE, "multilabel", "f1") == ({"a": 1.0}, 1.0)


def test_members_must_predict_the_same_samples() -> None:
    target = np.eye(3, dtype=np.int8)
    one, two = predictions("a", target * 1.0, target), predictions("b", target[:2] * 1.0, target[:2])
    with pytest.raises(ValueError, match="must predict the same samples"):
        mean_predictions([one, two], [0.5, 0.5], "e")
