"""The one place where events meet the plan and the records. It knows no Ray, so a study can be conducted by anything."""

import json
import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Protocol

from study.engine.orders.pending_orders import PendingOrders
from study.engine.orders.publishing import publish_once, retry_write
from study.engine.orders.trial_order import Site, TrialOrder, trial_columns
from study.engine.search.plan import Plan
from study.evidence.store import Store
from study.spec.errors import StorageError

LOG = logging.getLogger(__name__)
EPOCH = ("epoch", "train_loss", "val_loss", "value", "lr", "seconds", "pairs_per_second")
LIVES = 3  # processes that may die under one trial before it counts as failed


class Watcher(Protocol):
    """Who is told what happens, to show it."""

    def started(self, order: TrialOrder) -> None:
        """A trial was given out."""

    def epoch(self, order: TrialOrder, row: dict[str, Any]) -> None:
        """A running trial finished an epoch."""

    def ended(
        self, order: TrialOrder, state: str, values: Sequence[float], message: str, rows: list[dict[str, Any]]
    ) -> None:
        """A trial ended and its record is written."""


class Conductor:
    """Gives the plan's orders out, takes what becomes of them, and keeps the records.

    Args:
        plan: what to run.
        store: the run's records.
        site: where trials work.
        synthetic: whether the images are drawn.
        keep_weights: how many of the best search trials keep their weights.
        halves: whether a trial out of memory goes on with batches in halves.
        watchers: who is told.
        stop_group: tells a trial of several workers to stop; None where each trial has one.

    Attributes:
        orders: running orders, by key.
        problem: what ended the study before its time; None while all is well.
    """

    def __init__(
        self,
        plan: Plan,
        store: Store,
        site: Site,
        synthetic: bool,
        keep_weights: int,
        halves: bool,
        watchers: Sequence[Watcher],
        stop_group: Callable[[str], None] | None,
    ) -> None:
        self.plan, self.store, self.site, self.synthetic = plan, store, site, synthetic
        self.pending, self.watchers, self.stop_group = PendingOrders(store), watchers, stop_group
        self.keep_weights, self.halves = keep_weights, halves
        self.orders: dict[str, TrialOrder] = {}
        self.problem: StorageError | None = None
        self._rows: dict[str, dict[int, dict[str, Any]]] = {}
        self._started: dict[str, datetime] = {}
        self._lost: Counter[str] = Counter()
        self._without_weights: set[str] = set()

    def next(self) -> TrialOrder | None:
        """The plan's next order, noted as pending."""
        order = self.plan.next()
        if order is None:
            return None
        if not self._saved(lambda: self.pending.add(order), f"pending/{order.key}"):
            self.plan.again(order)
            return None
        self.orders[order.key], self._rows[order.key] = order, {}
        self._started.setdefault(order.key, datetime.now(UTC))
        for watcher in self.watchers:
            watcher.started(order)
        return order

    def result(self, key: str, row: dict[str, Any]) -> bool:
        """Takes an epoch's row; True when the trial is to be stopped from outside."""
        if self.problem is not None:
            return True
        if row.get("state") not in ("running", "known") or self.plan.was_stopped(key):
            return False
        self._rows[key][row["epoch"]] = {name: row[name] for name in EPOCH}
        for watcher in self.watchers:
            watcher.epoch(self.orders[key], row)
        if not self.plan.report(key, row["epoch"], row["value"], judged=row["state"] == "running"):
            return False
        if self.stop_group is not None:
            self.stop_group(key)
            return False
        return True

    def ended(self, key: str, last: Mapping[str, Any]) -> None:
        """Takes a trial's last row: a complete one has published itself, any other is published here."""
        state, outcome, message = (
            str(last.get("state", "")),
            str(last.get("outcome", "")),
            str(last.get("message", "")),
        )
        if self.plan.was_stopped(key):
            self._finish(key, "pruned", [max(row["value"] for row in self._rows[key].values())])
        elif state == "failed" and outcome == "out_of_memory" and self._halved(key, message):
            return
        elif state == "failed":
            self._finish(key, state, [], outcome, message)
        elif state == "complete":
            self._finish(key, state, list(json.loads(last["objectives"]).values()))
        else:  # interrupted, or its record could not be written: it stays pending and goes on with the next start
            if state == "unsaved":
                self._stop(StorageError(message))
            self._put_back(key)

    def lost(self, key: str, outcome: str, message: str) -> None:
        """Takes the death of a trial's process or node: it goes on from its checkpoint, elsewhere if need be."""
        self._lost[key] += 1
        if outcome == "out_of_memory" and self._halved(key, message):
            return
        if self._lost[key] < LIVES:
            LOG.warning("%s goes on from its checkpoint: %s", key, message)
            self._put_back(key)
        else:
            self._finish(
                key,
                "failed",
                [],
                outcome,
                f"{self._lost[key]} processes ended under it, the last with: {message}",
            )

    def _put_back(self, key: str, order: TrialOrder | None = None) -> None:
        self.plan.again(order or self.orders[key])
        del self.orders[key], self._rows[key]

    def _halved(self, key: str, message: str) -> bool:
        """Puts the order back with batches in halves, unless they are as small as they can be."""
        order = self.orders[key]
        training = order.spec["training"]
        parts = 2 * training["accumulate"]
        if not self.halves or training["batch_size"] // parts < 2 or self.problem is not None:
            return False
        note = f"out of memory, so batches of {training['batch_size']} are worked on in {parts} parts whose gradients are added ({message})"
        self._put_back(
            key, replace(order, spec={**order.spec, "training": {**training, "accumulate": parts}}, note=note)
        )
        return True

    def _finish(
        self, key: str, state: str, values: Sequence[float], outcome: str = "", message: str = ""
    ) -> None:
        order, rows = self.orders[key], [row for _, row in sorted(self._rows[key].items())]
        if state != "complete":
            record = self._record(order, state, values, outcome, message, rows)
            epochs = [{"trial": key, **row, "synthetic": self.synthetic} for row in rows]
            tables = {"trial": [record], "epochs": epochs}
            if not self._saved(lambda: publish_once(self.store, key, tables), f"trials/{key}"):
                self._put_back(key)
                return
        self._saved(lambda: self.pending.drop(key), f"pending/{key}")
        self.plan.finish(key, state, values, outcome, message)
        del self.orders[key], self._rows[key]
        self._drop_weights()
        for watcher in self.watchers:
            watcher.ended(order, state, values, message or order.note, rows)

    def _record(
        self,
        order: TrialOrder,
        state: str,
        values: Sequence[float],
        outcome: str,
        message: str,
        rows: list[dict[str, Any]],
    ) -> dict[str, Any]:
        """The record of a trial that has no predictions: its settings, how far it came and why it ended."""
        spec, now = order.trial_spec(), datetime.now(UTC)
        return {
            **trial_columns(order, self.site, spec),
            "state": state,
            "outcome": outcome,
            "message": "; ".join(filter(None, (message, order.note))),
            "objective": spec.objective or "",
            "value": values[0] if values else None,
            "best_epoch": max(rows, key=lambda row: float(row["value"]))["epoch"] if rows else None,
            "num_epochs": len(rows),
            "num_parameters": None,
            "seconds_training": sum(row["seconds"] for row in rows),
            "seconds_total": (now - self._started[order.key]).total_seconds(),
            "device": "",
            "started": self._started[order.key],
            "ended": now,
            "synthetic": self.synthetic,
        }

    def _saved(self, write: Callable[[], object], name: str) -> bool:
        """Writes; a storage that keeps refusing ends the study, which loses nothing that is finished."""
        try:
            retry_write(write, f"{self.store.where}/{name}")
        except StorageError as error:
            self._stop(error)
            return False
        return True

    def _stop(self, problem: StorageError) -> None:
        self.problem = self.problem or problem
        self.plan.stop(str(problem))

    def _drop_weights(self) -> None:
        """Keeps the disk bounded: only the best search trials keep their weights, and the variants that the study file names."""
        complete = [
            (value, key)
            for key, (state, value) in self.plan.finished.items()
            if state == "complete" and value is not None
        ]
        ranked = sorted((item for item in complete if item[1].startswith("search-")), reverse=True)
        kept = {key for _, key in ranked[: self.keep_weights]}
        wanted = {table: self.plan.spec.ablations[table] for table in self.plan.spec.keep_weights_of}
        kept |= {f"ablation-{t}-{variant}-s{a.seeds[0]}" for t, a in wanted.items() for variant in a.variants}
        for key in {key for _, key in complete} - kept - self._without_weights:
            if self._saved(lambda key=key: self.store.delete_weights(key), f"trials/{key}"):  # type: ignore[misc]
                self._without_weights.add(key)
