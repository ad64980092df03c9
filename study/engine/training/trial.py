"""One trial from its order to its published record: build, fit, embed, score, publish. It knows no Ray."""

import gc
import json
import platform
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import torch
from safetensors.torch import save_file
from torch import nn

from study.data.cohort import Cohort
from study.engine.orders.pending_orders import PendingOrders
from study.engine.orders.publishing import is_published, publish_once, retry_write
from study.engine.orders.trial_order import Site, TrialOrder, trial_columns
from study.engine.training.cost import multiply_adds
from study.engine.training.fit import Epoch, State, fit
from study.engine.training.judge import retrieved
from study.engine.training.outcomes import Timed, outcome_of
from study.engine.training.session import TrainingSession
from study.engine.training.workers import WorkerGroup, bare
from study.evidence.heads import fit_heads
from study.evidence.objectives import further_values
from study.evidence.predictions import Predictions
from study.evidence.score import score_rows, swap_row
from study.evidence.store import WEIGHTS, Store
from study.spec.errors import DataError, StorageError

ReportEpoch = Callable[[dict[str, Any]], bool]
CHECKPOINT_EVERY_S = 20.0  # a kill costs at most this much training beside the running epoch


def run_order(
    order: TrialOrder,
    site: Site,
    report: ReportEpoch,
    device: torch.device,
    group: WorkerGroup = WorkerGroup(),
    wrap: Callable[[nn.Module], nn.Module] = lambda net: net,
) -> dict[str, Any]:
    """Runs one trial and publishes its record; everything that goes wrong inside is a labelled outcome, not a crash.

    Args:
        order: the trial.
        site: where data and records are.
        report: takes an epoch's row; True asks the training to stop.
        device: of this worker.
        group: the workers that train together.
        wrap: makes the network data-parallel.

    Returns:
        The final row: state (complete, pruned, failed or unsaved), outcome, message, and the objectives as JSON.
    """
    gc.collect()  # the last trial's network and optimiser hang in cycles, and the process is the same
    torch.cuda.empty_cache()
    try:
        return _run(order, site, report, device, group, wrap)
    except (
        StorageError
    ) as error:  # what was trained is good: it is no failed trial, and is finished with the next start
        return {"state": "unsaved", "message": str(error)}
    except Exception as error:  # a trial's failure is a result of the study and must not end it
        return {
            "state": "failed",
            "outcome": outcome_of(error),
            "message": f"{type(error).__name__}: {error}",
        }


def _run(
    order: TrialOrder,
    site: Site,
    report: ReportEpoch,
    device: torch.device,
    group: WorkerGroup,
    wrap: Callable[[nn.Module], nn.Module],
) -> dict[str, Any]:
    started, clock = datetime.now(UTC), time.perf_counter()
    store, spec = Store(site.run), order.trial_spec()
    if is_published(store, order.key):  # by a process that died before it could say so
        return {"state": "complete", "objectives": store.read("trial", [order.key])["objectives"].item()}
    session = TrainingSession.from_spec(spec, site.cache_folder, device)
    _require_same_data(session.cohort, site.split_of(order))
    pending = PendingOrders(store)
    trained = _Trained()
    if order.trains:
        start = pending.load_checkpoint(order.key)
        net = wrap(session.net)
        trained.resume(start)
        if trained.rows and group.share(_tell_again(trained.rows, report)):
            return {"state": "pruned"}
        batches = Timed(
            session.training_batches(group), site.time_limit_s, sum(row["seconds"] for row in trained.rows)
        )
        for epoch in fit(
            net, session.loss, batches, session.evaluate, spec.optimiser, spec.training, device, group, start
        ):
            trained.note(epoch, session.net)
            if group.rank == 0 and trained.checkpoint_due():
                with suppress(StorageError):  # a later one may succeed, and the training goes on without
                    pending.save_checkpoint(order.key, {**epoch.state(), **trained.state()})
            if group.share(report(epoch_row(epoch))):
                return {"state": "pruned"}
        session.net.load_state_dict(trained.weights)
    training_s = time.perf_counter() - clock
    if group.rank > 0:
        return {"state": "complete"}
    value = trained.value if order.trains else session.evaluate(session.net)[0]
    record = {
        **trial_columns(order, site, spec),
        "state": "complete",
        "objective": session.judge.objective.name,
        "value": value,
        "message": order.note,
        "best_epoch": trained.best_epoch,
        "num_epochs": len(trained.rows),
        "num_parameters": sum(p.numel() for p in session.net.parameters()),
        "multiply_adds": multiply_adds(session.net, session.cohort.pairs.num_views, spec.data.image_px),
        "seconds_training": training_s,
        "device": torch.cuda.get_device_name(device)
        if device.type == "cuda"
        else f"cpu x {torch.get_num_threads()}",
        "started": started,
        "ended": datetime.now(UTC),
        "synthetic": session.cohort.pairs.synthetic,
    }
    _publish(store, order, session, record, trained.rows, clock)
    return {"state": "complete", "objectives": record["objectives"]}


def _tell_again(rows: list[dict[str, Any]], report: ReportEpoch) -> bool:
    """Reports the epochs before an interruption; the last one may have been reported to nobody, so it is judged."""
    for row in rows[:-1]:
        report({**row, "state": "known"})
    return report(rows[-1])


class _Trained:
    """The best epoch so far, and the rows of all epochs."""

    def __init__(self) -> None:
        self.value, self.best_epoch = float("-inf"), 0
        self.weights: State = {}
        self.rows: list[dict[str, Any]] = []
        self._written = time.monotonic()

    def resume(self, start: State | None) -> None:
        if start is not None:
            self.value, self.best_epoch, self.weights = (
                start["best"],
                start["best_epoch"],
                start["best_weights"],
            )
            self.rows = json.loads(start["rows"])

    def note(self, epoch: Epoch, net: nn.Module) -> None:
        self.rows.append(epoch_row(epoch))
        if epoch.improved:
            self.value, self.best_epoch = epoch.value, epoch.epoch
            self.weights = {
                name: tensor.detach().cpu().clone() for name, tensor in bare(net).state_dict().items()
            }

    def checkpoint_due(self) -> bool:
        if time.monotonic() - self._written < CHECKPOINT_EVERY_S:
            return False
        self._written = time.monotonic()
        return True

    def state(self) -> State:
        return {"best_epoch": self.best_epoch, "best_weights": self.weights, "rows": json.dumps(self.rows)}


def epoch_row(epoch: Epoch) -> dict[str, Any]:
    """An epoch's numbers as a row of EPOCHS."""
    names = ("epoch", "train_loss", "val_loss", "value", "lr", "seconds", "pairs_per_second")
    return {name: getattr(epoch, name) for name in names}


def _publish(
    store: Store,
    order: TrialOrder,
    session: TrainingSession,
    record: dict[str, Any],
    rows: list[dict[str, Any]],
    clock: float,
) -> None:
    """Embeds and scores every split and writes the trial's folder in one step."""
    pairs, judge = session.cohort.pairs, session.judge
    network, embeddings = [], {}
    for split in ("train", "val", "test"):
        found = session.embed(split)
        embeddings[split] = session.embeddings(order.key, split, found)
        if split != "train":
            network.append(
                Predictions(
                    order.key,
                    "network",
                    "",
                    split,
                    *session.names(split),
                    found.targets,
                    found.score,
                    pairs.synthetic,
                )
            )
    queries = [embeddings["val"], embeddings["test"]]
    heads = dict.fromkeys([*judge.heads, *judge.candidates])
    fitted = fit_heads(embeddings["train"], queries, pairs.kind, pairs.labels, tuple(heads), judge.chooser)
    pick = judge.pick(network[0].score, embeddings["val"], fitted.best)
    record |= {"head": pick.head, "setting": pick.setting}
    scores = [
        *score_rows(network, pairs.kind, pairs.labels),
        *fitted.scores,
        *retrieved(judge, session.spec, embeddings["train"], queries, pairs.labels),
    ]
    if pairs.num_views == 2 and session.loss.trains_head:
        scores.append(swap_row(network[-1], session.embed("test", exchange=True).score))
    further = further_values(session.spec.more_objectives, record, scores)
    record["objectives"] = json.dumps({record["objective"]: record["value"], **further})
    with tempfile.TemporaryDirectory() as folder:
        weights = Path(folder) / WEIGHTS
        own = {
            name: tensor.clone(memory_format=torch.contiguous_format)
            for name, tensor in session.net.state_dict().items()
        }
        save_file(own, weights)  # which refuses tensors that share their memory
        record["seconds_total"] = time.perf_counter() - clock
        tables = {
            "trial": [record],
            "epochs": [{"trial": order.key, **row, "synthetic": pairs.synthetic} for row in rows],
            "embeddings": pa.concat_tables(e.table() for e in embeddings.values()),
            "predictions": pa.concat_tables(p.table() for p in (*network, *fitted.predictions)),
            "scores": scores,
            "neighbours": fitted.neighbours,
        }
        retry_write(
            lambda: publish_once(store, order.key, tables, {WEIGHTS: weights}),
            f"{store.where}/trials/{order.key}",
        )


def _require_same_data(cohort: Cohort, split_hash: str) -> None:
    """A node with other files under the same root would silently train on other patients."""
    if cohort.split_hash != split_hash:
        raise DataError(
            f"`data.root`: must hold the same samples on every machine, got a different split on {platform.node()}. "
            "Compare the files there with those of the machine that started the study."
        )
