"""One trial from its order to its record, without Ray."""

import json
import os
import platform
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import SafetensorError

from study.data.cohort import open_cohort
from study.engine.orders import publishing
from study.engine.orders.messages import Ending, EndMessage, EpochMessage
from study.engine.orders.pending_orders import PendingOrders
from study.engine.orders.trial_order import Site, TrialOrder
from study.engine.training import kept_weights, progress, trial
from study.engine.training.cost import multiply_adds
from study.engine.training.finite import NonFiniteLoss
from study.engine.training.fit import _Steps
from study.engine.training.network import build_network
from study.engine.training.trial import run_order
from study.evidence.records import Outcome
from study.evidence.store import Store
from study.spec.errors import StorageError
from study.spec.trial_spec import OptimiserSpec, TrainingSpec, TrialSpec
from tests.engine.one_trial import order_of, site_of

CPU = torch.device("cpu")
SPEC: dict[str, Any] = {
    "data": {"dataset": "odir5k", "phantom_patients": 120, "image_px": 32},
    "model": {"backbone": "tiny"},
    "training": {"epochs": 2, "batch_size": 16, "warmup_epochs": 0},
    "optimiser": {"lr": 3e-3},
}


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


def order(key: str = "search-00000", **changes: Any) -> TrialOrder:
    return order_of(TrialSpec.read({**SPEC, **changes}), key, params={"optimiser.lr": 3e-3})


def site(run: Path, cache: Path) -> Site:
    return site_of(run, cache, open_cohort(TrialSpec.read(SPEC).data, cache))


def run(o: TrialOrder, s: Site) -> EndMessage:
    return run_order(o, s, lambda epoch: False, CPU)


def value_of(end: EndMessage) -> float:
    """The objective of a complete trial."""
    return end.objectives["macro_average_precision"]


def test_a_trial_leaves_its_whole_record(tmp_path: Path, cache: Path) -> None:
    last = run(order(), site(tmp_path, cache))
    assert last.ending is Ending.COMPLETE
    store = Store(tmp_path)
    record = store.read("trial").iloc[0]
    epochs = store.read("epochs")
    assert (record["state"], record["num_epochs"], len(epochs)) == ("complete", 2, 2)
    assert record["value"] == epochs["value"].max() == value_of(last)
    assert json.loads(record["spec"]) == order().spec
    assert record["synthetic"]
    predictions = store.read("predictions")
    assert set(predictions["head"]) == {"network", "knn", "logistic_regression"}
    network = predictions[predictions["head"] == "network"]
    assert set(network["split"]) == {"val", "test"}
    score = np.stack(network["score"].tolist())
    assert score.min() >= 0
    assert score.max() <= 1
    embeddings = store.read("embeddings")
    assert len(embeddings) == 120
    scores = store.read("scores")
    stored = scores[
        (scores["head"] == "network")
        & (scores["split"] == "val")
        & (scores["metric"] == "macro_average_precision")
    ]
    assert stored["value"].item() == pytest.approx(record["value"])
    for table in (predictions, embeddings, scores, epochs):
        assert table["synthetic"].all()


def test_the_same_order_gives_the_same_predictions(tmp_path: Path, cache: Path) -> None:
    tables = []
    for name in ("a", "b"):
        run(order(), site(tmp_path / name, cache))
        tables.append(Store(tmp_path / name).read("predictions"))
    assert all(np.array_equal(a, b) for a, b in zip(tables[0]["score"], tables[1]["score"], strict=True))


def test_an_interrupted_trial_ends_as_an_undisturbed_one(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "CHECKPOINT_EVERY_S", 0.0)
    longer = order(training={**SPEC["training"], "epochs": 3})
    run(longer, site(tmp_path / "whole", cache))

    class Killed(BaseException):
        pass

    def kill_at_two(epoch: EpochMessage) -> bool:
        if epoch.record.epoch == 2:
            raise Killed("in epoch 2")
        return False

    with pytest.raises(Killed, match="in epoch 2"):
        run_order(longer, site(tmp_path / "cut", cache), kill_at_two, CPU)
    assert PendingOrders(Store(tmp_path / "cut")).load_checkpoint(longer.key) is not None
    seen = []

    def watch(epoch: EpochMessage) -> bool:
        seen.append((epoch.record.epoch, epoch.judged))
        return False

    run_order(longer, site(tmp_path / "cut", cache), watch, CPU)
    assert seen == [(1, False), (2, True), (3, True)]  # nobody may have heard of the second before the kill
    whole, cut = (Store(tmp_path / name) for name in ("whole", "cut"))
    assert cut.read("epochs")["train_loss"].tolist() == whole.read("epochs")["train_loss"].tolist()
    assert all(
        np.array_equal(a, b)
        for a, b in zip(whole.read("predictions")["score"], cut.read("predictions")["score"], strict=True)
    )


def test_a_metric_loss_is_judged_by_its_neighbours(tmp_path: Path, cache: Path) -> None:
    model = {"backbone": "tiny", "embedding": {"dim": 16, "l2norm": True}}
    metric_loss = order(loss={"name": "contrastive", "margin": 1.0}, model=model)
    last = run(metric_loss, site(tmp_path, cache))
    assert last.ending is Ending.COMPLETE
    scores = Store(tmp_path).read(
        "scores", filters={"split": "val", "metric": "macro_average_precision", "head": "knn", "chosen": True}
    )
    assert scores["value"].item() == pytest.approx(value_of(last))


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (NonFiniteLoss("the loss was nan"), Outcome.NON_FINITE_LOSS),
        (torch.cuda.OutOfMemoryError("no room"), Outcome.OUT_OF_MEMORY),
        (KeyError("x"), Outcome.ERROR),
    ],
)
def test_what_goes_wrong_inside_is_a_labelled_outcome(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, outcome: Outcome
) -> None:
    def fail(*args: Any) -> None:
        raise error

    monkeypatch.setattr(trial, "fit", fail)
    last = run(order(), site(tmp_path, cache))
    assert (last.ending, last.outcome) == (Ending.FAILED, outcome)
    assert type(error).__name__ in last.message
    assert Store(tmp_path).keys() == []


def test_a_trial_beyond_its_time_is_a_labelled_failure(tmp_path: Path, cache: Path) -> None:
    last = run(order(), replace(site(tmp_path, cache), time_limit_s=1e-6))
    assert (last.ending, last.outcome) == (Ending.FAILED, Outcome.TIME_LIMIT)
    assert "resources.time_limit_s" in last.message


def test_a_storage_that_is_full_is_no_failure_of_the_trial(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*args: Any) -> None:
        raise StorageError("no room")

    monkeypatch.setattr(publishing, "WAITS_S", (0.0,))
    monkeypatch.setattr(Store, "publish", full)
    last = run(order(), site(tmp_path, cache))
    assert last.ending is Ending.UNSAVED
    assert "no room. Finished trials are kept" in last.message


@pytest.mark.parametrize("fault", ["is no folder", "is full"])
def test_a_cache_that_cannot_be_written_is_a_fault_of_the_machine(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    monkeypatch.setattr(trial, "WAIT_AFTER_FAULT_S", 0.0)
    here = tmp_path / "cache"
    if fault == "is no folder":
        here.write_text("a file")
    else:
        monkeypatch.setattr("study.data.cache.shutil.disk_usage", lambda folder: Usage(free=10))
    last = run(order(), replace(site(tmp_path / "run", cache), cache=str(here)))
    assert last.ending is Ending.NODE_FAULT
    assert last.message.startswith(f"{platform.node()}: `{here}`: the cache ")
    assert Store(tmp_path / "run").keys() == []


@dataclass(frozen=True)
class Usage:
    """The part of `shutil.disk_usage` that is read."""

    free: int


@pytest.mark.parametrize(
    "error",
    [OSError(28, "No space left on device"), SafetensorError("I/O error: No space left on device")],
    ids=["disk", "weights on the disk"],
)
def test_a_fault_of_the_machine_is_no_failure_of_the_trial(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def full(*args: Any) -> None:
        raise error

    monkeypatch.setattr(trial, "WAIT_AFTER_FAULT_S", 0.0)
    monkeypatch.setattr(kept_weights, "save_file", full)
    last = run(order(), site(tmp_path, cache))
    assert last.ending is Ending.NODE_FAULT
    assert last.message == f"{platform.node()}: {error}"
    assert Store(tmp_path).keys() == []


def test_a_trial_reads_the_roots_of_the_machine_that_started_the_study(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trial, "WAIT_AFTER_FAULT_S", 0.0)
    right = site(tmp_path, cache)
    for name in ("STUDY_ROOT_ODIR5K", "STUDY_ROOT_EYEPACS"):
        monkeypatch.setenv(name, "left by another study")
    there = str(tmp_path / "not on this machine")
    last = run(order(), replace(right, roots={"STUDY_ROOT_ODIR5K": there}))
    assert last.ending is Ending.NODE_FAULT
    assert f"`STUDY_ROOT_ODIR5K`: must be an existing file or folder, got `{there}`" in last.message
    assert "STUDY_ROOT_EYEPACS" not in os.environ


def test_a_trial_that_has_its_record_is_not_trained_again(tmp_path: Path, cache: Path) -> None:
    first = run(order(), site(tmp_path, cache))
    assert (
        run_order(order(), site(tmp_path, cache), lambda epoch: pytest.fail("it was trained again"), CPU)
        == first
    )


class _SquaredError(torch.nn.Module):
    def forward(self, output: torch.Tensor, known: torch.Tensor, _: torch.Tensor) -> torch.Tensor:
        return ((output - known) ** 2).mean()


def test_parts_of_a_batch_give_the_gradients_of_the_whole() -> None:
    images, targets = torch.randn(12, 3), torch.rand(12, 2)
    weights = []
    for parts in (1, 3, 8):  # eight parts would be too small: six pairs of samples are left
        torch.manual_seed(0)
        net = torch.nn.Linear(3, 2)
        training = TrainingSpec(accumulate=parts, clip_norm=1e9)
        steps = _Steps(net, _SquaredError(), OptimiserSpec(lr=0.1), training, CPU, 1)
        loss = steps._backward(images, targets, targets)
        assert net.weight.grad is not None
        weights.append((loss.item(), net.weight.grad.clone()))
    for value, gradient in weights[1:]:
        assert value == pytest.approx(weights[0][0], rel=1e-5)
        torch.testing.assert_close(gradient, weights[0][1])


def test_multiply_adds_by_hand(cache: Path) -> None:
    net = build_network(TrialSpec.read(SPEC), 8, 2)
    expected = 0

    def count(module: torch.nn.Module, inputs: Any, output: torch.Tensor) -> None:
        nonlocal expected
        if isinstance(module, torch.nn.Conv2d):
            expected += (
                output.numel()
                * module.in_channels
                // module.groups
                * module.kernel_size[0]
                * module.kernel_size[1]
            )
        elif isinstance(module, torch.nn.Linear):
            expected += output.numel() * module.in_features

    hooks = [module.register_forward_hook(count) for module in net.modules()]
    net.eval()(torch.zeros(1, 2, 3, 32, 32))
    for hook in hooks:
        hook.remove()
    assert multiply_adds(net, 2, 32) == expected > 0


def test_other_data_on_a_node_are_refused(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trial, "WAIT_AFTER_FAULT_S", 0.0)
    right = site(tmp_path, cache)
    last = run(order(), replace(right, split_hash="other"))
    assert last.ending is Ending.NODE_FAULT
    assert "must hold the same samples on every machine" in last.message
