"""Orders that were given out and are not finished, with their last checkpoint, so that a killed study goes on.

<run>/pending/<key>/order.json
<run>/pending/<key>/checkpoint.pt
"""

import json
import tempfile
from collections.abc import Collection
from pathlib import Path
from typing import Any

import torch
from pyarrow import ArrowException, fs

from study.engine.orders.trial_order import TrialOrder
from study.evidence.store import Store
from study.spec.errors import StorageError

ORDER, CHECKPOINT = "order.json", "checkpoint.pt"


def delete_partial_writes(store: Store) -> None:
    """Deletes what a killed process was writing; it has hidden names, so no reader ever saw it."""
    for folder in ("trials", ""):
        for info in store.filesystem.get_file_info(
            fs.FileSelector(f"{store.root}/{folder}".rstrip("/"), allow_not_found=True)
        ):
            if folder and info.type == fs.FileType.Directory and info.base_name.startswith("."):
                store.filesystem.delete_dir(info.path)
            elif info.type == fs.FileType.File and info.base_name.endswith(".part"):
                store.filesystem.delete_file(info.path)


class PendingOrders:
    """The unfinished orders of a run; a file appears whole or not at all."""

    def __init__(self, store: Store) -> None:
        self._store, self._fs = store, store.filesystem

    def _path(self, *parts: str) -> str:
        return "/".join([self._store.root, "pending", *parts])

    def add(self, order: TrialOrder) -> None:
        """Notes that an order was given out."""
        self._store.write_bytes(f"pending/{order.key}/{ORDER}", json.dumps(order.dump()).encode())

    def orders(self) -> list[TrialOrder]:
        """All unfinished orders, by key."""
        infos = self._fs.get_file_info(fs.FileSelector(self._path(), recursive=True, allow_not_found=True))
        keys = sorted(info.path.split("/")[-2] for info in infos if info.base_name == ORDER)
        return [TrialOrder(**json.loads(self._store.read_bytes(f"pending/{key}/{ORDER}"))) for key in keys]

    def unfinished(self, finished: Collection[str]) -> list[TrialOrder]:
        """The orders without a record; forgets those that were killed between their publishing and this note."""
        orders = self.orders()
        for order in orders:
            if order.key in finished:
                self.drop(order.key)
        return [order for order in orders if order.key not in finished]

    def drop(self, key: str) -> None:
        """Forgets an order and its checkpoint."""
        if self._fs.get_file_info(self._path(key)).type != fs.FileType.NotFound:
            self._fs.delete_dir(self._path(key))

    def save_checkpoint(self, key: str, state: dict[str, Any]) -> None:
        """Replaces the order's one checkpoint.

        Raises:
            StorageError: it cannot be written; the one before it stays.
        """
        with tempfile.TemporaryDirectory() as folder:
            local = Path(folder) / CHECKPOINT
            torch.save(state, local)
            try:
                self._fs.create_dir(self._path(key), recursive=True)
                part = self._path(key, f"{CHECKPOINT}.part")
                fs.copy_files(
                    str(local), part, source_filesystem=fs.LocalFileSystem(), destination_filesystem=self._fs
                )
                self._fs.move(part, self._path(key, CHECKPOINT))
            except (OSError, ArrowException) as error:
                raise StorageError(
                    f"`{self._path(key)}`: must take a checkpoint, got: {error}. Make room."
                ) from None

    def load_checkpoint(self, key: str) -> dict[str, Any] | None:
        """The order's last checkpoint, None before the first one."""
        path = self._path(key, CHECKPOINT)
        if self._fs.get_file_info(path).type == fs.FileType.NotFound:
            return None
        with tempfile.TemporaryDirectory() as folder:
            local = str(Path(folder) / CHECKPOINT)
            fs.copy_files(
                path, local, source_filesystem=self._fs, destination_filesystem=fs.LocalFileSystem()
            )
            state: dict[str, Any] = torch.load(local, weights_only=True, map_location="cpu")
            return state
