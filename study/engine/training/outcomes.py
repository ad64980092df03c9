"""What can go wrong with a trial, by its label in the records, and what is tried again."""

import time
from collections.abc import Iterator
from typing import Any

import torch

from study.engine.training.fit import NonFiniteLoss, TrainingBatches

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
                raise TimeLimit(
                    f"the trial took {spent_s:.0f} s, allowed are {self._limit_s:g} s (resources.time_limit_s)"
                )
            yield batch
