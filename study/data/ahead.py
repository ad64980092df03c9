"""Batches that are made ahead of the training, so that a GPU need not wait for them."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch
from torch import Tensor

AHEAD = 2  # batches that are made or ready while the training works on another one

Batch = TypeVar("Batch", bound=Sequence[Tensor])
Made = TypeVar("Made")


def made_ahead(batches: Iterator[Batch], device: torch.device) -> Iterator[Batch]:
    """The same batches; those for a GPU are made by a thread, on a stream of its own.

    On a CPU each batch is made when it is asked for, since training takes all cores by itself.

    Args:
        batches: Makes the batches.
        device: Where it makes them.
    """
    if device.type != "cuda":
        yield from batches
        return
    training, making = torch.cuda.current_stream(device), torch.cuda.Stream(device)
    making.wait_stream(training)  # what batches are made from may still be on its way to the device

    def make() -> tuple[Batch, torch.cuda.Event] | None:
        with torch.cuda.stream(making):
            batch = next(batches, None)
            return None if batch is None else (batch, making.record_event())

    for batch, ready in on_thread(make):
        training.wait_event(ready)
        for tensor in batch:
            tensor.record_stream(training)  # no later batch gets its memory before training is done
        yield batch


def on_thread(make: Callable[[], Made | None]) -> Iterator[Made]:
    """What a function returns, call after call until None, called ahead by one thread.

    An error of the function is raised where its result would have come. The thread ends with the iteration.
    """
    with ThreadPoolExecutor(1) as thread:
        waiting = deque(thread.submit(make) for _ in range(AHEAD))
        while (made := waiting.popleft().result()) is not None:
            waiting.append(thread.submit(make))
            yield made
