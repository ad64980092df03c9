"""What can go wrong with a trial, by its label in the records, and what is tried again."""

import time
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import torch
from pyarrow import ArrowException

from study.engine.fit import NonFiniteLoss, TrainingBatches
from study.spec.errors import StorageError

Answer = TypeVar("Answer")
WAITS_S = (0.2, 1.0, 4.0)  # between the tries of a write: a network storage stumbles for moments
NO_MEMORY = ("out of memory", "can't allocate memory", "not enough memory", "unable to allocate")


class TimeLimit(Exception):
    """The trial has taken longer than `resources.time_limit_s`."""


def outcome_of(error: BaseException) -> str:
    """The label of a trial that ended with this error."""
    if isinstance(error, NonFiniteLoss):
        return "non_finite_loss"
    if isinstance(error, TimeLimit):
        return "time_limit"
    lacks_memory = isinstance(error, RuntimeError) and any(words in str(error).lower() for words in NO_MEMORY)
    if lacks_memory or isinstance(error, MemoryError | torch.OutOfMemoryError):
        return "out_of_memory"
    return "error"


class Timed:
    """Training batches that end in `TimeLimit` when the trial's time is over.

    Args:
        batches: of the training split.
        limit_s: seconds of the whole trial, None for no limit.
        spent_s: seconds that it had taken before this process.
    """

    def __init__(self, batches: TrainingBatches, limit_s: float | None, spent_s: float) -> None:
        self._batches, self._limit_s, self._began = batches, limit_s, time.monotonic() - spent_s

    def set_epoch(self, epoch: int) -> None:
        """As the batches' own."""
        self._batches.set_epoch(epoch)

    def __len__(self) -> int:
        return len(self._batches)

    def __iter__(self) -> Iterator[Any]:
        for batch in self._batches:
            spent_s = time.monotonic() - self._began
            if self._limit_s is not None and spent_s > self._limit_s:
                raise TimeLimit(f"the trial took {spent_s:.0f} s, allowed are {self._limit_s:g} s (resources.time_limit_s)")
            yield batch


def insist(write: Callable[[], Answer], what: str) -> Answer:
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
