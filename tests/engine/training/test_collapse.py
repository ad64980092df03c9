"""A training that learnt nothing, and a gate that lets nothing through, are named."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from models.contexts.osim import Osim
from models.gates import Gate
from study.data.cohort import Cohort, open_cohort
from study.engine.orders.messages import Ending
from study.engine.training import collapse
from study.engine.training.collapse import collapse_of, watched_gates
from study.engine.training.judge import judge_of
from study.engine.training.prior import prior_value
from study.evidence.objective import Judge
from study.evidence.records import Role
from study.evidence.store import Store
from study.spec.trial_spec import TrialSpec
from tests.engine.one_trial import order_of, train_alone
from tests.models.parts import conv_and_norm

SPEC: dict[str, Any] = {
    "data": {"dataset": "odir5k", "phantom_patients": 60, "image_px": 32},
    "model": {"backbone": "tiny", "context": "osim"},
    "training": {"epochs": 1, "batch_size": 16, "warmup_epochs": 0},
}
BELOW = "not better than the class prior"


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


def opened(cache: Path, **changes: Any) -> tuple[Judge, Cohort]:
    spec = TrialSpec.read({**SPEC, **changes})
    cohort = open_cohort(spec.data, cache)
    return judge_of(spec, cohort.pairs.kind, trains_head=True), cohort


def shut(net: nn.Module, x: torch.Tensor) -> list[str]:
    with watched_gates(net) as gates:
        net(x)
    net(-x)  # is not watched any more
    return gates.shut()


def biased(bias: float) -> nn.Module:
    """A network with one gate, all of whose factors are σ(bias)."""
    context = Osim(8).eval()
    _, norm = conv_and_norm(context.gate)
    nn.init.zeros_(norm.weight)
    nn.init.constant_(norm.bias, bias)
    return context


def test_a_closed_gate_is_shut_and_an_open_one_is_not() -> None:
    x = torch.randn(4, 8, 5, 5)
    assert shut(biased(-10), x) == ["gate gate closed at 100 % of its values"]
    assert shut(biased(0), x) == shut(biased(10), x) == []


@pytest.mark.parametrize(("num_closed", "found"), [(94, []), (95, ["gate  closed at 95 % of its values"])])
def test_shut_begins_at_ninety_five_in_a_hundred(num_closed: int, found: list[str]) -> None:
    logits = torch.full((2, 100), 3.0)
    logits[:, :num_closed] = -5.0  # σ is 0.0067
    assert shut(Gate(), logits) == found


@pytest.mark.parametrize("objective", ["macro_average_precision", "macro_auc", "best_head.odir_final"])
def test_what_is_not_better_than_the_prior_has_collapsed(cache: Path, objective: str) -> None:
    judge, cohort = opened(cache, objective=objective)
    prior = prior_value(judge, cohort)
    assert 0 < prior < 1
    assert collapse_of(judge, cohort, prior, []) == BELOW
    assert collapse_of(judge, cohort, np.nextafter(prior, 2), []) == ""
    assert collapse_of(judge, cohort, math.nan, []) == BELOW  # a network that has diverged
    assert collapse_of(judge, cohort, 1.0, ["gate a closed"]) == "gate a closed"
    assert collapse_of(judge, cohort, 0.0, ["gate a closed"]) == f"{BELOW}; gate a closed"


def test_for_retrieval_the_prior_is_the_commonest_grade(cache: Path) -> None:
    data = {"dataset": "eyepacs", "phantom_patients": 60, "image_px": 32}
    judge, cohort = opened(cache, data=data, task="retrieval")
    prior = prior_value(judge, cohort)
    assert judge.objective.by == "retrieval"
    assert 0 < prior < 1
    assert collapse_of(judge, cohort, prior, []) == BELOW
    assert collapse_of(judge, cohort, prior + 1e-6, []) == ""


def test_a_trial_that_collapsed_says_so_in_its_record_and_at_its_end(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = order_of(TrialSpec.read(SPEC))
    monkeypatch.setattr(collapse, "prior_value", lambda judge, cohort: 1.0)
    end = train_alone(order, tmp_path, cache)
    assert (end.ending, end.message) == (Ending.COMPLETE, f"collapsed: {BELOW}")
    assert Store(tmp_path).read("trial")["collapsed"].item() == BELOW
    assert train_alone(order, tmp_path, cache) == end  # a process that died before it could say so


def test_a_baseline_does_not_collapse(tmp_path: Path, cache: Path) -> None:
    spec = TrialSpec.read(SPEC)
    order = order_of(spec, "baseline-untrained", Role.BASELINE, trains=False)
    assert train_alone(order, tmp_path, cache).message == ""
    assert Store(tmp_path).read("trial")["collapsed"].item() == ""
