"""One trial from its order to its published record: build, train, embed, score, publish. It knows no Ray."""

import gc
import json
import platform
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from study.data.cohort import Cohort
from study.data.source import use_roots
from study.engine.orders.messages import Ending, EndMessage, EpochMessage
from study.engine.orders.pending_orders import PendingOrders
from study.engine.orders.publishing import is_published, publish_once, retry_write
from study.engine.orders.trial_order import Site, TrialOrder, trial_record
from study.engine.training.collapse import collapse_of
from study.engine.training.compiling import Compiled
from study.engine.training.cost import multiply_adds_once
from study.engine.training.fit import fit
from study.engine.training.kept_weights import read_weights, write_weights
from study.engine.training.outcomes import TimedBatches, outcome_of
from study.engine.training.progress import Progress
from study.engine.training.scoring import ScoredSplits, score_splits
from study.engine.training.session import TrainingSession
from study.engine.training.trained_state import load_trained_state
from study.engine.training.workers import ALONE, WorkerGroup
from study.evidence.further_objectives import further_values
from study.evidence.records import EpochRecord, State, epochs_table, trial_table
from study.evidence.run_folder import LostRunError
from study.evidence.store import WEIGHTS, Store
from study.spec.errors import CacheError, OtherDataError, SpecError, StorageError, WeightsError

# A disk that is full or broken, and data and weights that were there where the study was started.
NODE_FAULTS = (OSError, SafetensorError, CacheError, OtherDataError, WeightsError)
WAIT_AFTER_FAULT_S = 10.0  # so that an order does not come back at once to the machine that cannot run it
ReportEpoch = Callable[[EpochMessage], bool]


def run_order(
    order: TrialOrder,
    site: Site,
    report: ReportEpoch,
    device: torch.device,
    group: WorkerGroup = ALONE,
    wrap: Callable[[nn.Module], nn.Module] = lambda net: net,
) -> EndMessage:
    """Runs one trial and publishes its record; what goes wrong inside is a labelled outcome, not a crash.

    Args:
        order: The trial.
        site: Where data and records are.
        report: Takes an epoch; True asks the training to stop.
        device: Device of this worker.
        group: Workers that train together.
        wrap: Makes the network data-parallel.

    Returns:
        How the trial ended, with its objectives where it is complete.
    """
    _free_memory()
    use_roots(site.roots)
    try:
        return _run(order, site, report, device, group, wrap)
    except NODE_FAULTS as error:  # the trial did not fail, and another machine may run it
        time.sleep(WAIT_AFTER_FAULT_S)
        return EndMessage(Ending.NODE_FAULT, message=f"{platform.node()}: {error}")
    except StorageError as error:  # nor did it here, and the next start finishes it
        return EndMessage(Ending.UNSAVED, message=str(error))
    except Exception as error:  # a trial's failure is a result of the study and must not end it
        return EndMessage(Ending.FAILED, outcome_of(error), f"{type(error).__name__}: {error}")


_START = iter(range(2))  # before the first trial, and with what it has imported


def _free_memory() -> None:
    """Frees the last trial's network and optimiser, which hang in cycles, since the process is the same.

    What the first trials have imported lives as long as the process. The collector need not look through it
    again for each trial, which would take longer than a short training.
    """
    gc.collect()
    if next(_START, None) is not None:
        gc.freeze()
    torch.cuda.empty_cache()


def _run(
    order: TrialOrder,
    site: Site,
    report: ReportEpoch,
    device: torch.device,
    group: WorkerGroup,
    wrap: Callable[[nn.Module], nn.Module],
) -> EndMessage:
    started, clock = datetime.now(UTC), time.perf_counter()
    store, spec = Store(site.run), order.trial_spec()
    store.fence = site.fence
    if is_published(store, order.key):  # by a process that died before it could say so
        record = store.read("trial", [order.key]).iloc[0]
        return _complete(json.loads(record["objectives"]), record["collapsed"])
    start = start_weights(store, order)
    session = TrainingSession.from_spec(spec, site.cache_folder, device, site.features_gb, start=start)
    del start
    _require_same_data(session.cohort, site.split_of(order))
    progress = Progress(order.key, synthetic=session.cohort.pairs.synthetic)
    if order.trains:
        net = wrap(Compiled(session.trained) if site.compile else session.trained)
        if _train(net, session, progress, PendingOrders(store), site.time_limit_s, report, group):
            return EndMessage(Ending.PRUNED)
        load_trained_state(session.net, progress.weights)
    training_s = time.perf_counter() - clock
    if group.rank > 0:
        return EndMessage(Ending.COMPLETE)
    if not order.trains:
        progress.value = session.evaluate(session.net)[0]
    timing = _Timing(started=started, clock=clock, training_s=training_s)
    return _publish(store, order, site, session, progress, timing)


def start_weights(store: Store, order: TrialOrder) -> dict[str, Tensor] | None:
    """The weights of the trial that an order goes on from; None where it begins anew.

    Raises:
        SpecError: That trial has not kept its weights.
    """
    if not order.start:
        return None
    if not store.has_weights(order.start):
        raise SpecError(
            f"`{order.start}`: must have its weights to be fine-tuned, but it has not kept them. "
            "Ask for `search.finetune` or a larger `keep_weights` before the search, and run it --fresh."
        )
    return read_weights(store, order.start)


def _train(
    net: nn.Module,
    session: TrainingSession,
    progress: Progress,
    pending: PendingOrders,
    time_limit_s: float | None,
    report: ReportEpoch,
    group: WorkerGroup,
) -> bool:
    """Trains from the last checkpoint on; True when the training was asked to stop."""
    spec, key = session.spec, progress.key
    start = pending.load_checkpoint(key)
    progress.resume(start)
    if len(progress.epochs) > 0 and group.share(_tell_again(progress.epochs, report)):
        return True
    spent_s = sum(record.seconds for record in progress.epochs)
    batches = TimedBatches(session.training_batches(group), time_limit_s, spent_s)
    epochs = fit(
        net,
        session.loss,
        batches,
        session.evaluate,
        spec.optimiser,
        spec.training,
        session.device,
        group,
        start,
    )
    for epoch in epochs:
        record = progress.note(epoch, session.net)
        if group.rank == 0 and progress.checkpoint_due():
            _save_checkpoint(pending, key, {**epoch.state(), **progress.state()})
        if group.share(report(EpochMessage(record))):
            return True
    return False


def _save_checkpoint(pending: PendingOrders, key: str, state: dict[str, Any]) -> None:
    """Saves a checkpoint where that works: a later one may, and the training goes on without."""
    try:
        pending.save_checkpoint(key, state)
    except StorageError as error:
        if isinstance(error, LostRunError):
            raise


def _tell_again(epochs: Sequence[EpochRecord], report: ReportEpoch) -> bool:
    """Reports the epochs before an interruption; nobody may have heard of the last one, so it is judged."""
    for record in epochs[:-1]:
        report(EpochMessage(record, judged=False))
    return report(EpochMessage(epochs[-1]))


@dataclass(frozen=True)
class _Timing:
    """When a trial began.

    Attributes:
        started: Date and time.
        clock: The same on the clock that measures the whole trial.
        training_s: Seconds from there to the end of the training.
    """

    started: datetime
    clock: float
    training_s: float


def _publish(
    store: Store,
    order: TrialOrder,
    site: Site,
    session: TrainingSession,
    progress: Progress,
    timing: _Timing,
) -> EndMessage:
    """Scores the trial, writes its folder in one step, and says how it ended."""
    found = score_splits(order.key, session)
    collapsed = _collapse(session, progress.value, found) if order.trains else ""
    num_parameters = sum(p.numel() for p in session.net.parameters())
    operations = multiply_adds_once(session.spec, session.net, session.cohort.pairs.num_views)
    further = further_values(
        session.spec.more_objectives,
        {"num_parameters": num_parameters, "multiply_adds": operations},
        found.head.head,
        found.scores,
    )
    objectives = {session.judge.objective.name: progress.value, **further}
    with tempfile.TemporaryDirectory() as folder:
        weights = write_weights(session, store, Path(folder))
        record = trial_record(
            order,
            site,
            state=State.COMPLETE,
            message=order.note,
            collapsed=collapsed,
            objective=session.judge.objective.name,
            value=progress.value,
            head=found.head.head,
            setting=found.head.setting,
            objectives=objectives,
            best_epoch=progress.best_epoch,
            num_epochs=len(progress.epochs),
            num_parameters=num_parameters,
            multiply_adds=operations,
            seconds_training=timing.training_s,
            seconds_total=time.perf_counter() - timing.clock,
            device=_name(session.device),
            started=timing.started,
            ended=datetime.now(UTC),
            synthetic=progress.synthetic,
        )
        records = {"trial": trial_table(record), "epochs": epochs_table(progress.epochs)}
        tables = {**records, **found.tables()}
        write = partial(publish_once, store, order.key, tables, {WEIGHTS: weights})
        retry_write(store, f"trials/{order.key}", write)
    return _complete(objectives, collapsed)


def _collapse(session: TrainingSession, value: float, found: ScoredSplits) -> str:
    """Why the training has collapsed; empty where it has not."""
    return collapse_of(session.judge, session.cohort, value, found.shut_gates)


def _complete(objectives: Mapping[str, float], collapsed: str) -> EndMessage:
    """The end of a trial whose record is written."""
    message = f"collapsed: {collapsed}" if collapsed else ""
    return EndMessage(Ending.COMPLETE, message=message, objectives=objectives)


def _name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else f"cpu x {torch.get_num_threads()}"


def _require_same_data(cohort: Cohort, split_hash: str) -> None:
    """Refuses a node with other files under the same root, which would silently train on other patients."""
    if cohort.split_hash != split_hash:
        raise OtherDataError(
            "`data.root`: must hold the same samples on every machine, got a different split on "
            f"{platform.node()}. Compare the files there with those of the machine that started the study."
        )
