"""The workers that train one network together: their ranks, and what they tell each other."""

from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import nn

from models.siamese import FromFeatures
from study.engine.training.compiling import Compiled

Shared = TypeVar("Shared")


@dataclass(frozen=True)
class WorkerGroup:
    """The place of one worker in its group.

    Attributes:
        rank: Number of this worker, from 0; rank 0 evaluates and writes.
        size: Number of workers.
    """

    rank: int = 0
    size: int = 1

    def share(self, value: Shared | None) -> Shared:
        """The value of rank 0, on every rank; the values of the other ranks are not used.

        Floats may differ in the last bit between devices, and decisions that rest on them would differ, too.
        """
        values: list[Any] = [value]
        if self.size > 1:
            torch.distributed.broadcast_object_list(values, src=0)
        shared: Shared = values[0]
        return shared

    def mean(self, value: float) -> float:
        """The mean of all ranks' values."""
        if self.size == 1:
            return value
        values: list[float] = [0.0] * self.size
        torch.distributed.all_gather_object(values, value)
        return sum(values) / self.size


ALONE = WorkerGroup()
"""The group of a trial with one worker."""


def bare(net: nn.Module) -> nn.Module:
    """The network inside its wrappers: for data parallelism, compiled code and training on features."""
    net = net.module if isinstance(net, nn.parallel.DistributedDataParallel) else net
    net = net.net if isinstance(net, Compiled) else net
    return net.net if isinstance(net, FromFeatures) else net
