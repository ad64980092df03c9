"""How a trial of several workers ends that Ray Train could not start."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from ray import tune
from ray.train import ControllerError, UserCallback
from ray.train.torch import TorchTrainer
from ray.train.v2._internal.exceptions import WorkerGroupStartupFailedError, WorkerGroupStartupTimeoutError

from study.engine.cluster import trainer
from study.engine.cluster.trainer import STARTS, Common, trainable
from study.engine.orders.messages import Ending, EndMessage


def train_two_workers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trainer, "TuneReportCallback", UserCallback)  # Ray's own needs a running trial
    common = Common(site="{}", workers=2, cpus_per_worker=1, gpus_per_worker=0, train_storage=str(tmp_path))
    trainable({"order": '{"key": "search-00000"}'}, asdict(common))


def test_a_worker_group_that_does_not_start_gives_its_trial_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[dict[str, Any]] = []
    started = []

    def fail(group: Any) -> None:
        started.append(group)
        raise ControllerError(WorkerGroupStartupTimeoutError(2))

    monkeypatch.setattr(TorchTrainer, "fit", fail)
    monkeypatch.setattr(tune, "report", said.append)
    train_two_workers(tmp_path, monkeypatch)
    assert len(started) == STARTS
    (last,) = said
    end = EndMessage.unpack(last)
    assert end.ending is Ending.NOT_STARTED
    assert end.message == "The worker group startup timed out after 60.0 seconds waiting for 2 workers"


def test_a_start_that_fails_is_tried_again_by_another_controller(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = []

    def fit(group: Any) -> None:
        assert group.run_config.failure_config.controller_failure_limit == 0
        started.append(group)
        if len(started) < 3:
            raise ControllerError(WorkerGroupStartupFailedError("a worker died"))

    monkeypatch.setattr(TorchTrainer, "fit", fit)
    monkeypatch.setattr(tune, "report", lambda message: pytest.fail(f"{message}"))
    train_two_workers(tmp_path, monkeypatch)
    assert len({id(group) for group in started}) == 3


def test_another_failure_of_the_controller_is_none_of_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(group: Any) -> None:
        raise ControllerError(OSError("No space left on device"))

    monkeypatch.setattr(TorchTrainer, "fit", fail)
    with pytest.raises(ControllerError, match="No space left"):
        train_two_workers(tmp_path, monkeypatch)
