"""Writing finished trials: only once for each trial, and with further attempts where the storage refuses."""

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

import pyarrow as pa

from study.data.patient_storage import is_patient
from study.evidence.arrow_tables import Rows
from study.evidence.run_folder import LostRunError
from study.evidence.store import Store
from study.spec.errors import StorageError

Answer = TypeVar("Answer")
WAITS_S = (0.2, 1.0, 4.0)  # after each attempt but the last: a network disk may refuse for moments
REFUSALS = (OSError, pa.ArrowException, StorageError)


def is_published(store: Store, key: str) -> bool:
    """Whether a trial has its record."""
    return store.exists(store.path("trials", key, "trial.parquet")) or key in store.packs.homes()


def publish_once(
    store: Store,
    key: str,
    tables: Mapping[str, Rows | pa.Table],
    files: Mapping[str, Path] | None = None,
) -> None:
    """Publishes a trial unless it has its record already.

    It may have one from a process that died before it could say so, or from an attempt that seemed to fail.

    Args:
        store: Records of the run.
        key: Key of the trial.
        tables: Tables of the trial, as in `Store.publish`.
        files: Local files to keep beside the tables, by their name.

    Raises:
        StorageError: Writing failed.
    """
    if not is_published(store, key):
        store.publish(key, tables, files)


def retry_write(store: Store, name: str, write: Callable[[], Answer]) -> Answer:
    """Writes, and tries again for some seconds where a disk refuses; an object store is patient itself.

    Args:
        store: Records of the run.
        name: Name in its folder of what is written.
        write: Writes; it may be called again after it failed.

    Returns:
        What `write` returns.

    Raises:
        StorageError: Every attempt was refused.
        LostRunError: Another driver has taken the run over; there is no further attempt.
    """
    for wait_s in () if is_patient(store.filesystem) else WAITS_S:
        try:
            return write()
        except LostRunError:
            raise
        except REFUSALS:
            time.sleep(wait_s)
    try:
        return write()
    except LostRunError:
        raise
    except REFUSALS as error:
        raise StorageError(
            f"`{store.place(name)}`: must be written, got: {error}. Finished trials are kept; "
            "make room or restore the storage, then give the same command again."
        ) from None
