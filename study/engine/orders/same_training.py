"""A training that several tables ask for is done once: its results are published again under each key."""

import json
import tempfile
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa

from study.engine.orders.publishing import publish_once
from study.engine.orders.trial_order import TrialOrder
from study.evidence.arrow_tables import Rows
from study.evidence.schema import TABLES
from study.evidence.store import WEIGHTS, Store


def publish_same(store: Store, order: TrialOrder, source: str) -> Mapping[str, float] | None:
    """Publishes an order with the results of a complete trial that is the same training.

    The new trial has cost no time; its message names the other one.

    Args:
        store: Records of the run.
        order: The order.
        source: Key of the complete trial.

    Returns:
        The objectives; None where the record of the other trial cannot be read.

    Raises:
        StorageError: Writing failed.
    """
    found = store.read_table("trial", [source]).to_pylist()
    if not found:
        return None
    tables: dict[str, Rows | pa.Table] = {
        name: _of_trial(store.read_table(name, [source]), order.key) for name in TABLES if name != "trial"
    }
    now = datetime.now(UTC)
    row = {
        **found[0],
        "trial": order.key,
        "role": order.role,
        "number": order.number,
        "table": order.table,
        "variant": order.variant,
        "params": json.dumps(order.params),
        "spec": json.dumps(order.spec),
        "message": same_training_text(source),
        "seconds_training": 0.0,
        "seconds_total": 0.0,
        "started": now,
        "ended": now,
    }
    with tempfile.TemporaryDirectory() as folder:
        files = {}
        if store.has_weights(source):
            files[WEIGHTS] = store.fetch(source, WEIGHTS, Path(folder))
        publish_once(store, order.key, {"trial": [row], **tables}, files)
    objectives: Mapping[str, float] = json.loads(row["objectives"])
    return objectives


def same_training_text(source: str) -> str:
    """What the record and the console say of a trial that is another one's training."""
    return f"same training as {source}"


def _of_trial(table: pa.Table, key: str) -> pa.Table:
    """The rows of another trial as those of this one."""
    place = table.schema.get_field_index("trial")
    return table.set_column(place, "trial", pa.repeat(pa.scalar(key, pa.string()), len(table)))
