"""Writing finished trials: once for each trial, and again for some seconds where the storage refuses."""

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from pyarrow import ArrowException, fs

from study.evidence.store import Store
from study.spec.errors import StorageError

Answer = TypeVar("Answer")
WAITS_S = (0.2, 1.0, 4.0)  # between the tries of a write: a network storage stumbles for moments


def is_published(store: Store, key: str) -> bool:
    """Whether a trial has its record."""
    return bool(
        store.filesystem.get_file_info(f"{store.root}/trials/{key}/trial.parquet").type
        != fs.FileType.NotFound
    )


def publish_once(
    store: Store, key: str, tables: Mapping[str, Any], files: Mapping[str, Path] | None = None
) -> None:
    """Publishes a trial unless it has its record, from a process that died before it could say so or a try that seemed to fail."""
    if not is_published(store, key):
        store.publish(key, tables, files)


def retry_write(write: Callable[[], Answer], what: str) -> Answer:
    """Writes, and tries again for some seconds where the storage refuses.

    Args:
        write: may be called again after it failed.
        what: place of the file, for the message.

    Raises:
        StorageError: it was refused every time.
    """
    for wait_s in (*WAITS_S, None):
        try:
            return write()
        except (OSError, ArrowException, StorageError) as error:
            if wait_s is None:
                raise StorageError(
                    f"`{what}`: must be written, got: {error}. Finished trials are kept; "
                    "make room or restore the storage, then give the same command again."
                ) from None
            time.sleep(wait_s)
    raise AssertionError("the last try returns or raises")
