"""Which samples come in which batch, pass after pass: a pure function of seed, epoch and rank."""

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import torch
from jaxtyping import Float, Int

from study.data.class_balance import Order, balanced_order


class SampleOrder:
    """The batches of one epoch after another, as positions of samples.

    A last batch of one sample joins the batch before, since batch norm cannot work on one sample.

    Attributes:
        epoch: The epoch whose batches come next.

    Args:
        rows: Positions of the samples.
        targets: Labels of these samples, for batches that are balanced by class.
        batch_size: Number of samples in a batch.
        seed: Decides the order, together with the epoch.
        order: `given` keeps the order of `rows`, `shuffle` draws a new one each epoch, `class_balanced` fills
            batches with as many samples of each class.
        rank: Number of this process, from 0.
        world_size: Number of processes that share the samples. Each sample is seen by exactly one of them,
            shares differ by at most one sample, and the number of batches is the same for all.
    """

    def __init__(
        self,
        rows: Int[np.ndarray, " n"],
        targets: Int[np.ndarray, "n l"] | Float[np.ndarray, "n l"],
        *,
        batch_size: int,
        seed: int = 0,
        order: Order = "given",
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        self.epoch = 0
        self._rows, self._targets, self._batch_size = rows, targets, batch_size
        self._seed, self._order, self._rank, self._world_size = seed, order, rank, world_size

    def __len__(self) -> int:
        """Number of batches."""
        return len(self._bounds(len(self._rows[self._rank :: self._world_size])))

    def __iter__(self) -> Iterator[Int[np.ndarray, " b"]]:
        """The samples of each batch of this process's share."""
        shard = self._shard()
        for start, stop in self._bounds(len(shard)):
            yield shard[start:stop]

    def generator(self) -> torch.Generator:
        """The source of all other random choices of this process in this epoch."""
        parts = np.random.SeedSequence((self._seed, self.epoch, self._rank)).generate_state(1, np.uint64)
        return torch.Generator().manual_seed(int(parts[0] >> np.uint64(1)))

    def _shard(self) -> Int[np.ndarray, " m"]:
        if self._order == "given":
            return self._rows[self._rank :: self._world_size]
        rng = np.random.default_rng([self._seed, self.epoch])
        if self._order == "shuffle":
            return rng.permutation(self._rows)[self._rank :: self._world_size]
        shares = [len(self._rows[rank :: self._world_size]) for rank in range(self._world_size)]
        sizes = [stop - start for share in shares for start, stop in self._bounds(share)]
        order = balanced_order(self._targets.argmax(axis=1), sizes, rng)
        return np.split(self._rows[order], np.cumsum(shares))[self._rank]

    def _bounds(self, num: int) -> list[tuple[int, int]]:
        """Start and stop of each batch of a share of `num` samples.

        The number of batches follows from the smallest share, so that no process waits for a batch of another
        one.
        """
        smallest = len(self._rows) // self._world_size or num
        starts = list(range(0, smallest, self._batch_size))
        if len(starts) > 1 and smallest - starts[-1] == 1:
            starts.pop()  # a single last sample joins the batch before
        return list(pairwise([*starts, num]))
