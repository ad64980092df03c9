"""A study without networks: a conductor over a real run folder, and a worker whose learning curves are a formula."""

import json
import random
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import fs

from study.engine.orders.pending_orders import PendingOrders
from study.engine.orders.publishing import publish_once, retry_write
from study.engine.orders.trial_order import Site, TrialOrder, trial_columns
from study.engine.search.conductor import Conductor
from study.engine.search.plan import Plan
from study.evidence.store import Store
from study.spec.errors import StorageError
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


class Silent:
    """A watcher that shows nothing."""

    def started(self, order: TrialOrder) -> None: ...
    def epoch(self, order: TrialOrder, row: dict[str, Any]) -> None: ...
    def ended(
        self, order: TrialOrder, state: str, values: Sequence[float], message: str, rows: list[dict[str, Any]]
    ) -> None: ...


def conduct(store: Store, **settings: Any) -> Conductor:
    """A conductor that goes on from what the run folder holds, as `study.run` makes one."""
    spec = StudySpec.read(override(STUDY, settings))
    records = store.read_table("trial").to_pylist()
    interrupted = PendingOrders(store).unfinished({row["trial"] for row in records})
    plan = Plan(spec, records, store.read_table("epochs").to_pylist(), interrupted)
    site = Site(spec.study, store.where, "", "{}", "", "")
    return Conductor(plan, store, site, True, 3, spec.resources.on_out_of_memory == "halve", [Silent()], None)


def row_of(order: TrialOrder, epoch: int) -> dict[str, Any]:
    """An epoch of a trial: better with the epochs, best at a rate of 0.001."""
    distance = abs(np.log10(order.spec["optimiser"]["lr"]) + 3)
    value = float(1 - 0.3 * distance - 0.5 / epoch)
    return {
        "epoch": epoch,
        "train_loss": 1.0,
        "val_loss": 1.0,
        "value": value,
        "lr": 1e-3,
        "seconds": 1.0,
        "pairs_per_second": 9.0,
    }


def train(conductor: Conductor, order: TrialOrder, killed: Callable[[], None] = lambda: None) -> None:
    """What the worker of an order does; `killed` may end it at any moment."""
    rows = []
    for epoch in range(1, order.spec["training"]["epochs"] + 1 if order.trains else 1):
        killed()
        rows.append(row_of(order, epoch))
        if conductor.result(order.key, {**rows[-1], "state": "running"}):
            conductor.ended(order.key, {"state": "running"})
            return
    killed()
    value = rows[-1]["value"] if rows else 0.1
    now, objectives = datetime.now(UTC), json.dumps({"macro_average_precision": value})
    record = {**trial_columns(order, conductor.site, order.trial_spec()), "state": "complete", "objective": "macro_average_precision",
              "value": value, "objectives": objectives, "best_epoch": len(rows), "num_epochs": len(rows), "num_parameters": 1,
              "seconds_training": 1.0, "seconds_total": 1.0, "device": "cpu", "started": now, "ended": now, "synthetic": True}  # fmt: skip
    epochs = [{"trial": order.key, **row, "synthetic": True} for row in rows]
    try:
        retry_write(
            lambda: publish_once(conductor.store, order.key, {"trial": [record], "epochs": epochs}), order.key
        )
    except StorageError as error:
        conductor.ended(order.key, {"state": "unsaved", "message": str(error)})
        return
    killed()
    conductor.ended(order.key, {"state": "complete", "objectives": objectives})


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
    assert store.problems == []
    assert not trials["trial"].duplicated().any()
    assert not epochs[["trial", "epoch"]].duplicated().any()
    counts = epochs.groupby("trial").size()
    for row in trials.itertuples():
        assert counts.get(row.trial, 0) == row.num_epochs
        assert list(epochs[epochs["trial"] == row.trial]["epoch"]) == list(range(1, row.num_epochs + 1))
    assert PendingOrders(store).orders() == []


class Failing(fs.FileSystemHandler):
    """A storage without renames that refuses the writes that `refuses` names by their number.

    Args:
        folder: where the files really are.
        refuses: by number of the write, from 1.
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
