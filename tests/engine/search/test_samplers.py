"""Each sampler suggests from the records, the seed and the number alone; each knows which spaces it suits."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from study.engine.search.plan import Plan
from study.engine.search.samplers import from_unit, to_unit
from study.evidence.records import FinishedTrial, Role, State
from study.spec.errors import SpecError
from study.spec.reading import override
from study.spec.study_file import StudySpec
from tests.engine.fake_study import finished_trial

GAMMA = {"type": "float", "low": 1.0, "high": 3.0}
RATES: dict[str, Any] = {
    "lr": {"type": "float", "low": 1e-4, "high": 1e-2, "log": True},
    "weight_decay": {"type": "float", "low": 0.0, "high": 0.1},
}
STUDY: dict[str, Any] = {
    "study": "a",
    "data": {"dataset": "phantom"},
    "model": {"backbone": "tiny", "attention": {"type": "categorical", "choices": ["none", "se", "cbam"]}},
    "loss": {"type": "categorical", "choices": ["bce", {"name": "focal", "gamma": GAMMA}]},
    "optimiser": RATES,
    "search": {"trials": 12, "startup": 3, "seed": 5, "pruner": "none"},
}
SAMPLERS = ["tpe", "gp", "cmaes", "random", "qmc"]


def value_of(params: Mapping[str, Any]) -> float:
    """Best at a rate of 0.001 and a decay of 0.03."""
    from_rate = abs(float(np.log10(params["optimiser.lr"])) + 3)
    from_decay = 5 * abs(float(params["optimiser.weight_decay"]) - 0.03)
    return float(1 - from_rate - from_decay + 0.1 * (params["loss"] == "focal"))


def search(
    sampler: str, num: int, before: Sequence[FinishedTrial] = (), **settings: Any
) -> list[FinishedTrial]:
    """The trials of a sequential search after that many further ones."""
    finished = list(before)
    wanted = {"search.sampler": sampler, "search.trials": len(finished) + num, **settings}
    plan = Plan(StudySpec.read(override(STUDY, wanted)), finished, {}, [])
    for _ in range(num):
        order = plan.next()
        assert order is not None
        assert order.number is not None
        value = value_of(order.params)
        plan.finish(order.key, State.COMPLETE, [value])
        finished.append(finished_trial(order.number, order.params, value=value))
    return finished


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_an_interrupted_search_suggests_what_it_would_have_suggested(sampler: str) -> None:
    whole = search(sampler, 12)
    cut = search(sampler, 5, search(sampler, 7))
    assert [trial.params for trial in cut] == [trial.params for trial in whole]
    assert len({tuple(sorted(trial.params.items())) for trial in whole}) == 12


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_another_seed_suggests_other_trials(sampler: str) -> None:
    other: dict[str, Any] = {"search.seed": 6}
    assert search(sampler, 3)[2].params != search(sampler, 3, **other)[2].params


@pytest.mark.parametrize("sampler", ["tpe", "cmaes"])
def test_what_was_seen_is_used(sampler: str) -> None:
    values, blind = ([trial.value for trial in search(s, 40)][20:] for s in (sampler, "random"))
    assert np.mean(np.array(values)) > np.mean(np.array(blind)) + 0.1


def test_sobol_points_fill_every_range_evenly() -> None:
    rows: list[dict[str, Any]] = [dict(trial.params) for trial in search("qmc", 32)]
    logs = np.log10([row["optimiser.lr"] for row in rows])
    assert np.histogram(logs, bins=8, range=(-4, -2))[0].tolist() == [4] * 8
    assert sorted(
        np.unique([row["model.attention"] for row in rows], return_counts=True)[1].tolist()
    ) == pytest.approx([10, 11, 11], abs=1)


@given(st.floats(0, 1), st.sampled_from([
    FloatDistribution(-1, 3), FloatDistribution(1e-5, 1e-1, log=True), FloatDistribution(0.5, 2.5, step=0.5),
    IntDistribution(1, 9), IntDistribution(16, 64, step=16), IntDistribution(1, 100, log=True),
]))  # fmt: skip
def test_a_share_of_a_range_and_back(u: float, of: BaseDistribution) -> None:
    value = from_unit(of, u)
    assert of._contains(of.to_internal_repr(value))
    assert from_unit(of, to_unit(of, value)) == pytest.approx(value)


def test_the_ends_of_the_unit_are_the_ends_of_the_range() -> None:
    assert [from_unit(CategoricalDistribution(("a", "b", "c")), u) for u in (0.0, 0.34, 1.0)] == [
        "a",
        "b",
        "c",
    ]
    assert [from_unit(IntDistribution(1, 7, step=2), u) for u in (0.0, 0.26, 0.51, 1.0)] == [1, 3, 5, 7]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"search.sampler": "cmaes", "optimiser.lr": 1e-3},
            r"`search.sampler`: `cmaes` needs 2 or more numbers .* got 1 of the 4",
        ),
        ({"search.sampler": "grid"}, r"`loss.focal.gamma`: must have a `step` in a grid"),
        (
            {"search.sampler": "cmaes", "objective": ["macro_auc", "multiply_adds"]},
            "`cmaes` takes one objective, got 2",
        ),
        ({"search.parallel": "deterministic"}, "`resources.concurrent`: must be given"),
        ({"objective": ["macro_auc", "macro_auc"]}, "a list of different ones"),
    ],
)
def test_a_search_that_makes_no_sense_is_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        StudySpec.read(override(STUDY, settings))


def test_a_gaussian_process_needs_a_parameter_that_is_always_there() -> None:
    nested = {"type": "categorical", "choices": [{"name": "focal", "gamma": GAMMA}, "bce"]}
    plain = {
        **STUDY,
        "model": {"backbone": "tiny"},
        "optimiser": {},
        "loss": nested,
        "search": {"sampler": "gp"},
    }
    assert StudySpec.read(plain).num_trials == 20
    with pytest.raises(SpecError, match="`gp` needs 1 or more parameters"):
        StudySpec.read({**plain, "loss": "bce"})


def test_a_grid_takes_every_combination_once_and_branches_only_where_they_are() -> None:
    gamma = {"loss.choices.1.gamma": {**GAMMA, "step": 1.0}}
    lr = {"type": "categorical", "choices": [1e-3, 1e-2]}
    spec = StudySpec.read(
        override(STUDY, {**gamma, "optimiser": {"lr": lr}, "search.sampler": "grid", "search.trials": 3})
    )
    assert spec.num_trials == 3 * (1 + 3) * 2
    plan = Plan(spec, [], {}, [])
    seen = []
    while (order := plan.next()) is not None and order.role is Role.SEARCH:
        seen.append(order.params)
        plan.finish(order.key, State.COMPLETE, [0.5])
    assert len(seen) == 24
    assert len({tuple(sorted(params.items())) for params in seen}) == 24
    assert all(("loss.focal.gamma" in params) == (params["loss"] == "focal") for params in seen)


def test_the_papers_setting_comes_first_and_what_it_leaves_open_is_suggested() -> None:
    paper = {"optimiser.lr": 1e-4, "loss": {"name": "focal", "gamma": 2.0}}
    by_name = {"model.attention": "cbam", "loss": "focal", "loss.focal.gamma": 1.5}
    settings: dict[str, Any] = {"search.enqueue": [paper, by_name]}
    rows = [trial.params for trial in search("tpe", 3, **settings)]
    assert (rows[0]["optimiser.lr"], rows[0]["loss"], rows[0]["loss.focal.gamma"]) == (1e-4, "focal", 2.0)
    assert (rows[1]["model.attention"], rows[1]["loss"], rows[1]["loss.focal.gamma"]) == (
        "cbam",
        "focal",
        1.5,
    )
    assert (
        set(rows[0])
        == set(rows[1])
        == {"model.attention", "loss", "loss.focal.gamma", "optimiser.lr", "optimiser.weight_decay"}
    )


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        (
            {"optimiser.lr": 1.0},
            r"`search.enqueue.0`: `optimiser.lr`: must be a number of type float from 0.0001 to 0.01",
        ),
        (
            {"optimiser.lrr": 1e-3},
            r"must be a parameter or a key of the study file. Did you mean `optimiser.lr`",
        ),
        ({"loss": "focl"}, r"`loss`: must be one of the choices bce, focal, got 'focl'"),
        ({"loss": {"name": "focal", "gamma": 9.0}}, r"`loss`: must be one of the choices"),
        ({"loss.focal.gamma": 2.0}, r"`loss.focal.gamma`: must stand with the choice that has it"),
        ({"model.backbone": "resnet18"}, r"`model.backbone`: is fixed at 'tiny', got 'resnet18'"),
    ],
)
def test_a_setting_that_cannot_be_tried_is_refused(setting: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        StudySpec.read(override(STUDY, {"search.enqueue": [setting]}))


def test_several_objectives_are_told_with_their_directions() -> None:
    spec = StudySpec.read(
        override(STUDY, {"objective": ["macro_auc", "multiply_adds"], "search.pruner": "asha"})
    )
    assert spec.preset({}).objective == "macro_auc"
    assert spec.preset({}).more_objectives == ["multiply_adds"]
    plan = Plan(spec, [], {}, [], (False, True))
    values = [(0.9, 100.0), (0.8, 50.0), (0.7, 70.0)]
    for pair in values:
        order = plan.next()
        assert order is not None
        assert not plan.report(order.key, 2, 0.0)  # nothing is stopped: it may be the cheapest
        plan.finish(order.key, State.COMPLETE, pair)
    assert plan.best is not None
    assert plan.best[0] == 0.9
    front = plan._suggestions._study.best_trials
    assert sorted(tuple(trial.values) for trial in front) == [(0.8, 50.0), (0.9, 100.0)]
    assert [d.name for d in plan._suggestions._study.directions] == ["MAXIMIZE", "MINIMIZE"]
    assert isinstance(plan._suggestions._study.sampler, optuna.samplers.TPESampler)
