"""The workers that train one network together: their ranks, and what they tell each other."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn


@dataclass(frozen=True)
class WorkerGroup:
    """One worker's place in its group; a group of one says everything to itself.

    Attributes:
        rank: this worker's number, from 0; rank 0 evaluates and writes.
        size: number of workers.
    """

    rank: int = 0
    size: int = 1

    def share(self, value: Any) -> Any:
        """The value of rank 0, on every rank. Floats would differ in the last bit between devices, and so would decisions."""
        if self.size == 1:
            return value
        box = [value]
        torch.distributed.broadcast_object_list(box, src=0)
        return box[0]

    def mean(self, value: float) -> float:
        """The mean of all ranks' values."""
        if self.size == 1:
            return value
        values: list[float] = [0.0] * self.size
        torch.distributed.all_gather_object(values, value)
        return sum(values) / self.size


def bare(net: nn.Module) -> nn.Module:
    """The network inside a data-parallel wrapper, or the network itself."""
    return net.module if isinstance(net, nn.parallel.DistributedDataParallel) else net
