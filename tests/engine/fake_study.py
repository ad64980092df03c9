"""A study without networks: a conductor over a real run folder, and a worker whose curves are a formula."""

import random
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import fs

from study.engine.orders.messages import Ending, EndMessage
from study.engine.orders.pending_orders import PendingOrders
from study.engine.orders.publishing import publish_once, retry_write
from study.engine.orders.trial_order import Site, TrialOrder, trial_record
from study.engine.search.conductor import Conductor
from study.engine.search.plan import Plan
from study.engine.search.watching import Ended, Watcher
from study.evidence.records import (
    EpochRecord,
    FinishedTrial,
    Role,
    State,
    epochs_table,
    finished_trials,
    learning_curves,
    trial_table,
)
from study.evidence.store import Store
from study.spec.errors import StorageError
from study.spec.holes import Scalar
from study.spec.reading import override
from study.spec.study_file import StudySpec

STUDY: dict[str, Any] = {
    "study": "a",
    "data": {"dataset": "phantom"},
    "model": {"backbone": "tiny", "attention": {"type": "categorical", "choices": ["none", "se"]}},
    "optimiser": {"lr": {"type": "float", "low": 1e-4, "high": 1e-2, "log": True}},
    "training": {"epochs": 4},
    "search": {"trials": 8, "startup": 2, "pruner": "asha", "min_epochs": 1, "seed": 3},
}


def ended(
    order: TrialOrder,
    state: State,
    values: Sequence[float],
    message: str = "",
    epochs: Sequence[EpochRecord] = (),
) -> Ended:
    return Ended(order=order, state=state, values=values, message=message, epochs=epochs)


def conduct(store: Store, **settings: Any) -> Conductor:
    """A conductor that goes on from what the run folder holds, as `study.run` makes one."""
    spec = StudySpec.read(override(STUDY, settings))
    finished = finished_trials(store)
    interrupted = PendingOrders(store).unfinished({trial.trial for trial in finished})
    plan = Plan(spec, finished, learning_curves(store), interrupted)
    return Conductor(
        plan,
        store,
        Site(
            study=spec.study, run=store.where, cache="", provenance="{}", data_fingerprint="", split_hash=""
        ),
        synthetic=True,
        keep_weights=3,
        halves=spec.resources.on_out_of_memory == "halve",
        watchers=[Watcher()],
        stop_group=None,
    )


def finished_trial(
    number: int,
    params: Mapping[str, Scalar],
    state: State = State.COMPLETE,
    value: float = 0.5,
) -> FinishedTrial:
    """A recorded trial of the search."""
    complete = state is State.COMPLETE
    return FinishedTrial(
        trial=f"search-{number:05d}",
        role=Role.SEARCH,
        number=number,
        state=state,
        value=value if complete else None,
        objectives={"macro_average_precision": value} if complete else {},
        params=params,
        epochs=30,
        fingerprint=f"training {number}",
    )


def epoch_of(key: str, epoch: int, value: float) -> EpochRecord:
    """An epoch of a trial."""
    return EpochRecord(
        trial=key,
        epoch=epoch,
        train_loss=1.0,
        val_loss=1.0,
        value=value,
        lr=1e-3,
        seconds=1.0,
        pairs_per_second=9.0,
        synthetic=True,
    )


def learnt(order: TrialOrder, epoch: int) -> EpochRecord:
    """An epoch of a trial: better with the epochs, best at a rate of 0.001."""
    distance = abs(np.log10(order.spec["optimiser"]["lr"]) + 3)
    return epoch_of(order.key, epoch, float(1 - 0.3 * distance - 0.5 / epoch))


def train(conductor: Conductor, order: TrialOrder, killed: Callable[[], None] = lambda: None) -> None:
    """What the worker of an order does; `killed` may end it at any moment."""
    epochs = []
    for epoch in range(1, order.spec["training"]["epochs"] + 1 if order.trains else 1):
        killed()
        epochs.append(learnt(order, epoch))
        if conductor.epoch(order.key, epochs[-1], judged=True):
            conductor.ended(order.key, EndMessage(Ending.INTERRUPTED))
            return
    killed()
    value = epochs[-1].value if epochs else 0.1
    now, objectives = datetime.now(UTC), {"macro_average_precision": value}
    record = trial_record(
        order,
        conductor.site,
        state=State.COMPLETE,
        objective="macro_average_precision",
        value=value,
        objectives=objectives,
        best_epoch=len(epochs),
        num_epochs=len(epochs),
        num_parameters=1,
        seconds_training=1.0,
        seconds_total=1.0,
        device="cpu",
        started=now,
        ended=now,
        synthetic=True,
    )
    tables = {"trial": trial_table(record), "epochs": epochs_table(epochs)}
    try:
        store = conductor.store
        retry_write(store, order.key, lambda: publish_once(store, order.key, tables))
    except StorageError as error:
        conductor.ended(order.key, EndMessage(Ending.UNSAVED, message=str(error)))
        return
    killed()
    conductor.ended(order.key, EndMessage(Ending.COMPLETE, objectives=objectives))


def run(
    conductor: Conductor, slots: int = 1, seed: int = 0, killed: Callable[[], None] = lambda: None
) -> None:
    """Runs the plan on that many slots, which of the running trials is done first being drawn."""
    draw, running = random.Random(seed), list[TrialOrder]()
    while True:
        while len(running) < slots and (order := conductor.next()) is not None:
            killed()
            running.append(order)
        if not running:
            return
        train(conductor, running.pop(draw.randrange(len(running))), killed)


def search_of(store: Store) -> list[tuple[int, str, str]]:
    """Number, parameters and state of every finished trial of the search."""
    rows = [row for row in store.read_table("trial").to_pylist() if row["role"] == "search"]
    return sorted((row["number"], row["params"], row["state"]) for row in rows)


def require_whole(store: Store) -> None:
    """Nothing is lost, doubled or half there."""
    trials, epochs = store.read("trial"), store.read("epochs")
    assert store.problems == [], store.problems
    assert not trials["trial"].duplicated().any()
    assert not epochs[["trial", "epoch"]].duplicated().any()
    counts = epochs.groupby("trial").size()
    for row in trials.itertuples():
        assert counts.get(row.trial, 0) == row.num_epochs
        num_epochs = int(str(row.num_epochs))
        assert epochs[epochs["trial"] == row.trial]["epoch"].tolist() == list(range(1, num_epochs + 1))
    assert PendingOrders(store).orders() == []


class Failing(fs.FileSystemHandler):  # type: ignore[misc]  # pyarrow's compiled classes have no types
    """A storage without renames that refuses the writes that `refuses` names by their number.

    Args:
        folder: Folder of the real files.
        refuses: Says of the number of a write, from 1, whether it is refused.
    """

    def __init__(self, folder: str, refuses: Callable[[int], bool]) -> None:
        self._inner = fs.SubTreeFileSystem(folder, fs.LocalFileSystem())
        self.refuses, self.writes = refuses, 0

    def _write(self) -> None:
        self.writes += 1
        if self.refuses(self.writes):
            raise OSError(28, "No space left on device")

    def get_type_name(self) -> str:
        return "failing"

    def normalize_path(self, path: str) -> str:
        return path

    def get_file_info(self, paths: list[str]) -> Any:
        return self._inner.get_file_info(paths)

    def get_file_info_selector(self, selector: fs.FileSelector) -> Any:
        return self._inner.get_file_info(selector)

    def create_dir(self, path: str, recursive: bool) -> None:
        self._inner.create_dir(path, recursive=recursive)

    def delete_dir(self, path: str) -> None:
        self._inner.delete_dir(path)

    def delete_dir_contents(self, path: str, missing_dir_ok: bool = False) -> None:
        self._inner.delete_dir_contents(path, missing_dir_ok=missing_dir_ok)

    def delete_root_dir_contents(self) -> None:
        raise OSError("not asked for")

    def delete_file(self, path: str) -> None:
        self._inner.delete_file(path)

    def move(self, src: str, dest: str) -> None:
        self._write()
        self._inner.move(src, dest)

    def copy_file(self, src: str, dest: str) -> None:
        self._write()
        self._inner.copy_file(src, dest)

    def open_input_stream(self, path: str) -> Any:
        return pa.PythonFile(self._inner.open_input_stream(path), mode="r")

    def open_input_file(self, path: str) -> Any:
        return pa.PythonFile(self._inner.open_input_file(path), mode="r")

    def open_output_stream(self, path: str, metadata: Any) -> Any:
        self._write()
        return pa.PythonFile(self._inner.open_output_stream(path), mode="w")

    def open_append_stream(self, path: str, metadata: Any) -> Any:
        raise OSError("not asked for")
