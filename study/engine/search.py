"""Ray Tune drives the plan: a searcher that hands out its orders, a scheduler that asks it whom to stop, a witness that records."""

import json
import logging
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Protocol

import ray
from ray import tune
from ray.tune.experiment import Trial
from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher

from study.engine.cluster import Slots
from study.engine.order import Order, Site
from study.engine.pending import Pending
from study.engine.plan import Plan
from study.engine.training import trial_columns
from study.engine.trial import VERDICTS, Verdicts, trainable
from study.evidence.store import Store

LOG = logging.getLogger(__name__)


class Watcher(Protocol):
    """Who is told what happens, to show it."""

    def started(self, order: Order) -> None: ...  # noqa: D102
    def epoch(self, order: Order, row: dict[str, Any]) -> None: ...  # noqa: D102
    def ended(self, order: Order, state: str, value: float | None, message: str, rows: list[dict[str, Any]]) -> None: ...  # noqa: D102


class Conductor:
    """The one place where Tune's events meet the plan and the records.

    Args:
        plan: what to run.
        store: the run's records.
        site: where trials work.
        synthetic: whether the images are drawn.
        keep_weights: how many of the best search trials keep their weights.
        watcher: who is told.
        stop_group: tells a trial of several workers to stop; None where each trial has one.
    """

    def __init__(
        self,
        plan: Plan,
        store: Store,
        site: Site,
        synthetic: bool,
        keep_weights: int,
        watcher: Watcher,
        stop_group: Callable[[str], None] | None,
    ) -> None:
        self.plan, self.store, self.site, self.synthetic = plan, store, site, synthetic
        self.pending, self.watcher, self.stop_group = Pending(store), watcher, stop_group
        self.keep_weights = keep_weights
        self.orders: dict[str, Order] = {}
        self.rows: dict[str, list[dict[str, Any]]] = {}
        self.started: dict[str, datetime] = {}

    def next(self) -> Order | None:
        """The plan's next order, noted as pending."""
        order = self.plan.next()
        if order is not None:
            self.pending.add(order)
            self.orders[order.key], self.rows[order.key] = order, []
            self.started[order.key] = datetime.now(UTC)
            self.watcher.started(order)
        return order

    def result(self, key: str, row: dict[str, Any]) -> bool:
        """Takes an epoch's row; True when the trial is to be stopped from outside."""
        if row.get("state") != "running" or self.plan.was_stopped(key):
            return False
        names = ("epoch", "train_loss", "val_loss", "value", "lr", "seconds", "pairs_per_second")
        self.rows[key].append({name: row[name] for name in names})
        self.watcher.epoch(self.orders[key], row)
        if not self.plan.report(key, row["epoch"], row["value"]):
            return False
        if self.stop_group is not None:
            self.stop_group(key)
            return False
        return True

    def ended(self, key: str, last: dict[str, Any], error: str = "") -> None:
        """Takes a trial's end: a complete one has published itself, any other is published here."""
        if error:
            state, value, outcome, message = "failed", None, "error", error
        elif self.plan.was_stopped(key):
            state, value, outcome, message = "pruned", max(row["value"] for row in self.rows[key]), "", ""
        elif last.get("state") in ("complete", "failed"):
            state, value = last["state"], last.get("value")
            outcome, message = last.get("outcome", ""), last.get("message", "")
        else:
            return  # interrupted: it stays pending and goes on with the next start
        order = self.orders.pop(key)
        if state != "complete":
            self._publish_unfinished(order, state, value, outcome, message)
        self.pending.drop(key)
        self.plan.finish(key, state, value)
        self._drop_weights()
        self.watcher.ended(order, state, value, message, self.rows.pop(key))

    def _publish_unfinished(self, order: Order, state: str, value: float | None, outcome: str, message: str) -> None:
        """The record of a trial that has no predictions: its settings, its epochs and why it ended."""
        rows, spec, now = self.rows[order.key], order.trial_spec(), datetime.now(UTC)
        record = {
            **trial_columns(order, self.site, spec),
            "state": state,
            "outcome": outcome,
            "message": message,
            "objective": spec.objective or "",
            "value": value,
            "best_epoch": max(rows, key=lambda row: float(row["value"]))["epoch"] if rows else None,
            "num_epochs": len(rows),
            "num_parameters": None,
            "seconds_training": sum(row["seconds"] for row in rows),
            "seconds_total": (now - self.started[order.key]).total_seconds(),
            "device": "",
            "started": self.started[order.key],
            "ended": now,
            "synthetic": self.synthetic,
        }
        epochs = [{"trial": order.key, **row, "synthetic": self.synthetic} for row in rows]
        self.store.publish(order.key, {"trial": [record], "epochs": epochs})

    def _drop_weights(self) -> None:
        """Keeps the disk bounded: only the best search trials keep their weights."""
        complete = [(value, key) for key, (state, value) in self.plan.finished.items() if state == "complete" and value is not None]
        ranked = sorted((item for item in complete if item[1].startswith("search-")), reverse=True)
        kept = {key for _, key in ranked[: self.keep_weights]}
        for _, key in complete:
            if key not in kept:
                self.store.delete_weights(key)


class _Orders(Searcher):
    """Tune's searcher: the conductor's orders as configurations."""

    def __init__(self, conductor: Conductor, shared: dict[str, Any]) -> None:
        super().__init__(metric="value", mode="max")
        self._conductor, self._shared = conductor, shared

    def suggest(self, trial_id: str) -> Any:
        order = self._conductor.next()
        if order is None:
            return Searcher.FINISHED if self._conductor.plan.done else None
        return {**self._shared, "order": json.dumps(order.dump())}

    def on_trial_complete(self, trial_id: str, result: Any = None, error: bool = False) -> None:
        """The witness tells the conductor; it knows the error's text."""

    def save(self, checkpoint_path: str) -> None:
        """Nothing: the records are the memory."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing: the records are the memory."""

    def __getstate__(self) -> dict[str, Any]:
        return {}  # Tune's own snapshots are never restored


class _Stopping(FIFOScheduler):
    """Tune's scheduler: whom the conductor stops, Tune stops."""

    def __init__(self, conductor: Conductor) -> None:
        super().__init__()
        self._conductor = conductor

    def on_trial_result(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> str:
        stops = self._conductor.result(key_of(trial), result)
        return TrialScheduler.STOP if stops else TrialScheduler.CONTINUE

    def __getstate__(self) -> dict[str, Any]:
        return {}  # Tune's own snapshots are never restored


class _Witness(tune.Callback):
    """Tune's callback: how each trial ended, with the error's text."""

    def __init__(self, conductor: Conductor) -> None:
        self._conductor = conductor

    def on_trial_complete(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        self._conductor.ended(key_of(trial), dict(trial.last_result or {}))

    def on_trial_error(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        error = trial.get_error()
        self._conductor.ended(key_of(trial), {}, str(error).strip().splitlines()[-1] if error else "the trial's process ended")

    def __getstate__(self) -> dict[str, Any]:
        return {}  # Tune's own snapshots are never restored


def key_of(trial: Trial) -> str:
    """The order's key of a Tune trial."""
    key: str = json.loads(trial.config["order"])["key"]
    return key


def run_plan(conductor: Conductor, slots: Slots, tune_folder: str) -> None:
    """Runs the plan to its end, or until Ctrl-C; what is unfinished then stays pending.

    Args:
        conductor: the plan with its records.
        slots: what each trial gets and how many run at a time.
        tune_folder: where Tune keeps its own snapshots, which nothing here reads.
    """
    shared = {
        "site": json.dumps(vars(conductor.site)),
        "workers": slots.workers,
        "cpus_per_worker": slots.cpus_per_worker,
        "gpus_per_worker": slots.gpus_per_worker,
        "train_storage": f"{tune_folder}/train",
    }
    alone = slots.workers == 1
    resources = {"cpu": slots.cpus_per_worker, "gpu": slots.gpus_per_worker} if alone else {"cpu": 0.05}
    tune.Tuner(
        tune.with_resources(trainable, resources),
        tune_config=tune.TuneConfig(
            search_alg=_Orders(conductor, shared),
            scheduler=_Stopping(conductor),
            num_samples=conductor.plan.num_left,
            max_concurrent_trials=slots.concurrent,
            reuse_actors=alone,
            trial_dirname_creator=lambda trial: trial.trial_id,
            trial_name_creator=key_of,
        ),
        run_config=tune.RunConfig(
            name=datetime.now(UTC).strftime("%Y%m%d-%H%M%S-%f"),
            storage_path=tune_folder,
            verbose=0,
            callbacks=[_Witness(conductor)],
            checkpoint_config=tune.CheckpointConfig(num_to_keep=1),
        ),
    ).fit()


def group_stopper() -> Callable[[str], None]:
    """Starts the actor that trials of several workers ask, and gives the function that tells it."""
    verdicts = Verdicts.options(name=VERDICTS, get_if_exists=True).remote()  # type: ignore[attr-defined]
    return lambda key: ray.get(verdicts.stop.remote(key))
