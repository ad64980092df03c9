"""The one place where events meet the plan and the records.

It knows no Ray, so anything can conduct a study.
"""

import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from study.engine.orders.messages import Ending, EndMessage
from study.engine.orders.pending_orders import PendingOrders
from study.engine.orders.publishing import publish_once, retry_write
from study.engine.orders.same_training import publish_same, same_training_text
from study.engine.orders.trial_order import Site, TrialOrder, trial_record
from study.engine.search.giving_up import no_start, node_fault
from study.engine.search.plan import Plan
from study.engine.search.watching import Ended, Watcher
from study.evidence.records import (
    EpochRecord,
    Outcome,
    Role,
    State,
    TrialRecord,
    epochs_table,
    trial_table,
)
from study.evidence.store import Store
from study.spec.ablation import ablation_trainings
from study.spec.errors import StorageError, StudyError

LOG = logging.getLogger(__name__)
LIVES = 3  # processes that may die under one trial before it counts as failed


class Conductor:
    """Gives the plan's orders out, takes what becomes of them, and keeps the records.

    Args:
        plan: What to run.
        store: Records of the run.
        site: Where trials work.
        synthetic: Whether the images are drawn.
        keep_weights: How many of the best search trials keep their weights, and no fewer than are fine-tuned.
        halves: Whether a trial that runs out of memory goes on with batches in halves.
        watchers: Who is told what happens.
        stop_group: Tells a trial of several workers to stop; None where each trial has one worker.

    Attributes:
        orders: Running orders, by key.
        problem: What ended the study before its time; None while all is well.
    """

    def __init__(
        self,
        plan: Plan,
        store: Store,
        site: Site,
        *,
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
        self.problem: StudyError | None = None
        self._epochs: dict[str, dict[int, EpochRecord]] = {}
        self._started: dict[str, datetime] = {}
        self._lost: Counter[str] = Counter()
        self._faults: Counter[str] = Counter()  # since a trial ended last
        self._without_weights: set[str] = set()

    def next(self) -> TrialOrder | None:
        """The plan's next order, noted as pending; orders of trainings that are done end here."""
        while (order := self.plan.next()) is not None:
            if not self._done_before(order):
                break
        if order is None:
            return None
        if not self._saved(lambda: self.pending.add(order), f"pending/{order.key}"):
            self.plan.again(order)
            return None
        self.orders[order.key] = order
        self._epochs[order.key] = {}
        self._started.setdefault(order.key, datetime.now(UTC))
        for watcher in self.watchers:
            watcher.started(order)
        return order

    def _done_before(self, order: TrialOrder) -> bool:
        """Whether a complete trial is the same training, whose results this order then has, too."""
        source = self.plan.same_training(order)
        if source is None or (order.key in self._kept_variants() and not self.store.has_weights(source)):
            return False
        found: list[Mapping[str, float] | None] = []

        def publish() -> None:
            found.append(publish_same(self.store, order, source))

        objectives = found[-1] if self._saved(publish, f"trials/{order.key}") else None
        if objectives is None:
            return False
        values = list(objectives.values())
        self.plan.finish(order.key, State.COMPLETE, values)
        self._drop_weights()
        ended = Ended(
            order=order, state=State.COMPLETE, values=values, message=same_training_text(source), epochs=[]
        )
        for watcher in self.watchers:
            watcher.started(order)
            watcher.ended(ended)
        return True

    def epoch(self, key: str, record: EpochRecord, *, judged: bool) -> bool:
        """Takes an epoch of a running trial; True when the trial is to be stopped from outside.

        Args:
            key: Key of the order.
            record: The epoch.
            judged: Whether the pruner is to judge it.
        """
        if self.problem is not None:
            return True
        if self.plan.was_stopped(key):
            return False
        self._epochs[key][record.epoch] = record
        for watcher in self.watchers:
            watcher.epoch(self.orders[key], record)
        if not self.plan.report(key, record.epoch, record.value, judged=judged):
            return False
        if self.stop_group is not None:
            self.stop_group(key)
            return False
        return True

    def ended(self, key: str, end: EndMessage) -> None:
        """Takes the end of a trial: a complete one has published itself, any other is published here."""
        if self.plan.was_stopped(key):
            best = max(record.value for record in self._epochs[key].values())
            self._finish(key, State.PRUNED, [best])
        elif end.ending is Ending.COMPLETE:
            self._finish(key, State.COMPLETE, list(end.objectives.values()), message=end.message)
        elif end.ending is Ending.FAILED:
            if end.outcome is not Outcome.OUT_OF_MEMORY or not self._halved(key, end.message):
                self._finish(key, State.FAILED, [], end.outcome, end.message)
        elif end.ending in (Ending.NODE_FAULT, Ending.NOT_STARTED):
            self._faulted(key, end)
        else:  # its order stays pending and goes on with the next start
            if end.ending is Ending.UNSAVED:
                self._stop(StorageError(end.message))
            self._put_back(key)

    def lost(self, key: str, outcome: Outcome, message: str) -> None:
        """Takes the death of a trial's process or node; the trial goes on from its checkpoint on any node."""
        self._lost[key] += 1
        if outcome is Outcome.OUT_OF_MEMORY and self._halved(key, message):
            return
        if self._lost[key] < LIVES:
            LOG.warning("%s goes on from its checkpoint: %s", key, message)
            self._put_back(key)
            return
        cause = f"{self._lost[key]} processes ended under it, the last with: {message}"
        self._finish(key, State.FAILED, [], outcome, cause)

    def _faulted(self, key: str, end: EndMessage) -> None:
        """Takes an order back that could not be run; the study ends where no trial of it ends any more.

        Workers that could not start may wait for those of other trials: then the study ends when every
        running trial has failed to start so often.
        """
        self._faults[key] += 1
        waits = end.ending is Ending.NOT_STARTED
        if all(self._faults[order] >= LIVES for order in (self.orders if waits else [key])):
            self._stop((no_start if waits else node_fault)(key, LIVES, end.message))
        else:
            LOG.warning("%s is put back: %s", key, end.message)
        self._put_back(key)

    def _put_back(self, key: str, order: TrialOrder | None = None) -> None:
        self.plan.again(order or self.orders[key])
        del self.orders[key], self._epochs[key]

    def _halved(self, key: str, message: str) -> bool:
        """Puts the order back with batches in halves, unless they are as small as they can be."""
        order = self.orders[key]
        training = order.spec["training"]
        parts = 2 * training["accumulate"]
        if not self.halves or training["batch_size"] // parts < 2 or self.problem is not None:
            return False
        note = (
            f"out of memory, so batches of {training['batch_size']} are worked on in {parts} parts whose "
            f"gradients are added ({message})"
        )
        spec = {**order.spec, "training": {**training, "accumulate": parts}}
        self._put_back(key, replace(order, spec=spec, note=note))
        return True

    def _finish(
        self,
        key: str,
        state: State,
        values: Sequence[float],
        outcome: Outcome = Outcome.NONE,
        message: str = "",
    ) -> None:
        order = self.orders[key]
        epochs = [record for _, record in sorted(self._epochs[key].items())]
        if state is not State.COMPLETE:
            record = self._record(order, state, values, outcome, message, epochs)
            tables = {"trial": trial_table(record), "epochs": epochs_table(epochs)}
            if not self._saved(lambda: publish_once(self.store, key, tables), f"trials/{key}"):
                self._put_back(key)
                return
        self._saved(lambda: self.pending.drop(key), f"pending/{key}")
        self.plan.finish(key, state, values, outcome, message)
        del self.orders[key], self._epochs[key]
        self._faults.clear()
        self._drop_weights()
        ended = Ended(order=order, state=state, values=values, message=message or order.note, epochs=epochs)
        for watcher in self.watchers:
            watcher.ended(ended)

    def _record(
        self,
        order: TrialOrder,
        state: State,
        values: Sequence[float],
        outcome: Outcome,
        message: str,
        epochs: Sequence[EpochRecord],
    ) -> TrialRecord:
        """The record of a trial without predictions: its settings, how far it came and why it ended."""
        now, started = datetime.now(UTC), self._started[order.key]
        return trial_record(
            order,
            self.site,
            state=state,
            outcome=outcome,
            message="; ".join(filter(None, (message, order.note))),
            objective=order.trial_spec().objective or "",
            value=values[0] if values else None,
            best_epoch=max(epochs, key=lambda record: record.value).epoch if epochs else None,
            num_epochs=len(epochs),
            seconds_training=sum((record.seconds for record in epochs), 0.0),
            seconds_total=(now - started).total_seconds(),
            started=started,
            ended=now,
            synthetic=self.synthetic,
        )

    def _saved(self, write: Callable[[], object], name: str) -> bool:
        """Writes; a storage that keeps refusing ends the study, which loses nothing that is finished."""
        try:
            retry_write(self.store, name, write)
        except StorageError as error:
            self._stop(error)
            return False
        return True

    def _stop(self, problem: StudyError) -> None:
        self.problem = self.problem or problem
        self.plan.stop(str(problem))

    def _drop_weights(self) -> None:
        """Keeps the disk bounded: the best search trials, fine-tuned ones and named variants keep weights."""
        kept = set(self.plan.best_keys(max(self.keep_weights, self.plan.spec.num_finetuned)))
        kept |= self._kept_variants() | self.plan.starts
        complete = {
            key
            for key, result in self.plan.finished.items()
            if result.state is State.COMPLETE and result.value is not None
            if result.role is not Role.FINETUNE
        }
        for key in complete - kept - self._without_weights:
            if self._delete_weights(key):
                self._without_weights.add(key)

    def _kept_variants(self) -> set[str]:
        """Keys of the first training of each variant of the ablations that keep weights."""
        kept = set()
        for table in self.plan.spec.keep_weights_of:
            for training in ablation_trainings(table, self.plan.spec.ablations[table]):
                if training.is_first:
                    kept.add(training.key)
        return kept

    def _delete_weights(self, key: str) -> bool:
        return self._saved(lambda: self.store.delete_weights(key), f"trials/{key}")
