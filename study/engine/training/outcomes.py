"""What can go wrong with a trial, and what the records call it."""

import time
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from study.engine.training.finite import NonFiniteLoss
from study.engine.training.fit import TrainingBatches
from study.evidence.records import Outcome

NO_MEMORY = ("out of memory", "can't allocate memory", "not enough memory", "unable to allocate")


class TimeLimit(Exception):
    """The trial has taken longer than `resources.time_limit_s`."""


def outcome_of(error: BaseException) -> Outcome:
    """The label of a trial that ended with this error."""
    if isinstance(error, NonFiniteLoss):
        return Outcome.NON_FINITE_LOSS
    if isinstance(error, TimeLimit):
        return Outcome.TIME_LIMIT
    lacks_memory = isinstance(error, RuntimeError) and any(words in str(error).lower() for words in NO_MEMORY)
    if lacks_memory or isinstance(error, MemoryError | torch.OutOfMemoryError):
        return Outcome.OUT_OF_MEMORY
    return Outcome.ERROR


class TimedBatches:
    """Training batches that raise `TimeLimit` when the trial's time is over.

    Args:
        batches: Batches of the training split.
        limit_s: Seconds that the whole trial may take; None for no limit.
        spent_s: Seconds that the trial had taken before this process.
    """

    def __init__(self, batches: TrainingBatches, limit_s: float | None, spent_s: float) -> None:
        self._batches = batches
        self._limit_s = limit_s
        self._began = time.monotonic() - spent_s

    def set_epoch(self, epoch: int) -> None:
        """Chooses the epoch whose batches come next."""
        self._batches.set_epoch(epoch)

    def __len__(self) -> int:
        return len(self._batches)

    def __iter__(self) -> Iterator[Sequence[Tensor]]:
        for batch in self._batches:
            spent_s = time.monotonic() - self._began
            if self._limit_s is not None and spent_s > self._limit_s:
                allowed = f"allowed are {self._limit_s:g} s (resources.time_limit_s)"
                raise TimeLimit(f"the trial took {spent_s:.0f} s, {allowed}")
            yield batch
