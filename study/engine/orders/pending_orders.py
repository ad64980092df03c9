"""Orders that were given out and are not finished, with their last checkpoints, for a study that goes on.

<run>/pending/<key>/order.json
<run>/pending/<key>/checkpoint.pt
"""

import tempfile
from collections.abc import Collection
from pathlib import Path
from typing import Any

import torch
from pyarrow import ArrowException, fs

from study.data.patient_storage import impatient
from study.engine.orders.trial_order import TrialOrder
from study.evidence.store import Store
from study.spec.errors import StorageError

FOLDER = "pending"
ORDER = "order.json"
CHECKPOINT = "checkpoint.pt"


def delete_partial_writes(store: Store) -> None:
    """Deletes what a killed process was writing, under hidden names that no reader sees."""
    trials = store.path("trials")
    for folder in (trials, store.root):
        for info in store.filesystem.get_file_info(fs.FileSelector(folder, allow_not_found=True)):
            is_folder = info.type == fs.FileType.Directory
            if is_folder and folder == trials and info.base_name.startswith("."):
                store.filesystem.delete_dir(info.path)
            elif info.type == fs.FileType.File and info.base_name.endswith(".part"):
                store.filesystem.delete_file(info.path)


class PendingOrders:
    """The unfinished orders of a run.

    Args:
        store: Records of the run.
    """

    def __init__(self, store: Store) -> None:
        self._store, self._filesystem = store, store.filesystem

    def _path(self, *parts: str) -> str:
        return self._store.path(FOLDER, *parts)

    def add(self, order: TrialOrder) -> None:
        """Notes that an order was given out."""
        self._store.write_bytes(f"{FOLDER}/{order.key}/{ORDER}", order.to_json().encode())

    def orders(self) -> list[TrialOrder]:
        """All unfinished orders, by key."""
        keys = sorted(parts[-2] for parts, _ in self._store.entries(FOLDER) if parts[-1] == ORDER)
        return [TrialOrder.from_json(self._store.read_bytes(f"{FOLDER}/{key}/{ORDER}")) for key in keys]

    def unfinished(self, finished: Collection[str]) -> list[TrialOrder]:
        """The orders without a record.

        An order that has a record is forgotten: its process was killed after it wrote the record.

        Args:
            finished: Keys of the trials that have a record.
        """
        orders = self.orders()
        for order in orders:
            if order.key in finished:
                self.drop(order.key)
        return [order for order in orders if order.key not in finished]

    def drop(self, key: str) -> None:
        """Forgets an order and its checkpoint.

        Raises:
            LostRunError: Another driver has taken the run over.
        """
        self._store.require_fence()
        if self._store.exists(self._path(key)):
            self._filesystem.delete_dir(self._path(key))

    def save_checkpoint(self, key: str, state: dict[str, Any]) -> None:
        """Replaces the one checkpoint of an order.

        Raises:
            StorageError: The checkpoint cannot be written; the one before it stays.
            LostRunError: Another driver has taken the run over.
        """
        try:
            with tempfile.TemporaryDirectory() as folder:
                local = Path(folder) / CHECKPOINT
                torch.save(state, local)  # a RuntimeError where the disk is full
                with impatient(self._filesystem):  # the training need not wait for the store
                    self._store.keep_file(f"{FOLDER}/{key}/{CHECKPOINT}", local)
        except (OSError, ArrowException, RuntimeError) as error:
            raise StorageError(
                f"`{self._path(key)}`: must take a checkpoint, got: {error}. Make room."
            ) from None

    def load_checkpoint(self, key: str) -> dict[str, Any] | None:
        """The last checkpoint of an order; None before the first one."""
        if not self._store.exists(self._path(key, CHECKPOINT)):
            return None
        with tempfile.TemporaryDirectory() as folder:
            local = self._store.fetch_file(f"{FOLDER}/{key}/{CHECKPOINT}", Path(folder))
            state: dict[str, Any] = torch.load(local, weights_only=True, map_location="cpu")
            return state
