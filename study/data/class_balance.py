"""The order in which training samples are seen, a pure function of its seed and epoch."""

from collections.abc import Sequence
from typing import Literal, TypeAlias

import numpy as np
from jaxtyping import Int

Order: TypeAlias = Literal["given", "shuffle", "class_balanced"]


def balanced_order(
    classes: Int[np.ndarray, " n"], sizes: Sequence[int], rng: np.random.Generator
) -> Int[np.ndarray, " m"]:
    """Positions of samples, one batch after another, each of P classes with K or K + 1 samples of each class.

    P is the number of classes. It is smaller where a batch has no room for two samples of each class; the
    classes then take turns. A class's samples come in random order, and none comes again before all of them
    came.

    Args:
        classes: Class of each sample.
        sizes: Sizes of the batches; their sum is the number of positions.
        rng: Source of all random choices.

    Source: P classes x K images is the batch of Hermans et al. 2017, arXiv 1703.07737.
    """
    dealer = _ClassDealer(np.unique(classes), rng)
    wanted = np.concatenate([np.zeros(0, dtype=np.int64), *(dealer.batch(size) for size in sizes)])
    order = np.empty(len(wanted), dtype=np.int64)
    for number in np.unique(wanted):
        places, members = np.flatnonzero(wanted == number), np.flatnonzero(classes == number)
        num_passes = -(-len(places) // len(members))
        samples = np.concatenate([rng.permutation(members) for _ in range(num_passes)])
        order[places] = samples[: len(places)]
    return order


class _ClassDealer:
    """Deals out classes in random order; none comes again before all of them came."""

    def __init__(self, classes: Int[np.ndarray, " c"], rng: np.random.Generator) -> None:
        self._classes, self._rng = classes, rng
        self._left = classes[:0]

    def batch(self, size: int) -> Int[np.ndarray, " b"]:
        """The class of each sample of a batch."""
        num = min(len(self._classes), max(2, size // 2))
        if len(self._left) < num:
            others = self._rng.permutation(np.setdiff1d(self._classes, self._left))
            again = self._rng.permutation(self._left)
            self._left = np.concatenate([self._left, others, again])
        chosen, self._left = self._left[:num], self._left[num:]
        return np.resize(chosen, size)
