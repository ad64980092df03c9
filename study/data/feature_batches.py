"""Batches of features in the place of images; equal seeds and epochs give the samples of `Batches`."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int, Int64
from torch import Tensor

from study.data.ahead import made_ahead
from study.data.class_balance import Order
from study.data.features import FEATURES, FeatureSet
from study.data.resident import CachedRows
from study.data.sample_order import SampleOrder

Choose = Callable[[int, torch.Generator], tuple[Int64[np.ndarray, "b v"], Int64[np.ndarray, "b v"]]]
"""Chooses for each place of so many samples the pass and the view that stand there."""


class FeatureBatch(NamedTuple):
    """Samples of one step.

    Attributes:
        features: What the frozen network gave for all views.
        targets: As in `Batch`.
        view_targets: As in `Batch`.
        rows: Positions of the samples in the set.
    """

    features: Float[Tensor, "b v f *s"]
    targets: Float[Tensor, "b l"]
    view_targets: Float[Tensor, "b v l"]
    rows: Int64[Tensor, " b"]


class FeatureBatches:
    """Iterates over samples of a set of features in batches, in the order of `SampleOrder`.

    Args:
        kept: The features and labels. They stay on a CUDA device with enough free memory.
        rows: Positions of the samples in the set.
        choose: Which pass and which view stand in each place of a sample.
        batch_size: Number of samples in a batch.
        device: Where the batches go.
        seed: Decides order and choices, together with the epoch.
        order: As in `SampleOrder`.
        rank: Number of this process, from 0.
        world_size: Number of processes that share the samples.
    """

    def __init__(
        self,
        kept: FeatureSet,
        rows: Int[np.ndarray, " n"],
        choose: Choose,
        *,
        batch_size: int,
        device: torch.device,
        seed: int = 0,
        order: Order = "given",
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        self._kept, self._choose, self._device = kept, choose, device
        self._order = SampleOrder(
            rows,
            kept.labels["targets"][0, rows],
            batch_size=batch_size,
            seed=seed,
            order=order,
            rank=rank,
            world_size=world_size,
        )
        self._features = CachedRows(kept.folder / FEATURES, device, resident=True)

    def set_epoch(self, epoch: int) -> None:
        """Chooses the order and the changes of the next pass."""
        self._order.epoch = epoch

    def __len__(self) -> int:
        """Number of batches."""
        return len(self._order)

    def __iter__(self) -> Iterator[FeatureBatch]:
        """One pass over this process's share."""
        generator = self._order.generator()
        return made_ahead((self._batch(rows, generator) for rows in self._order), self._device)

    def _batch(self, rows: Int[np.ndarray, " b"], generator: torch.Generator) -> FeatureBatch:
        passes, views = self._choose(len(rows), generator)
        labels, of_places = self._kept.labels, (passes, rows[:, None], views)
        targets = labels["targets"][passes[:, 0], rows]
        _, num_samples, num_views = labels["scale"].shape
        flat = np.ravel_multi_index(of_places, (len(labels["scale"]), num_samples, num_views))
        found = [targets, labels["view_targets"][of_places], rows.astype(np.int64)]
        scale = torch.from_numpy(labels["scale"][of_places]).to(self._device)
        features = self._features(flat).float()  # divided by their scale
        features.mul_(scale.view(*scale.shape, *[1] * (features.ndim - 2)))
        return FeatureBatch(features, *(torch.from_numpy(values).to(self._device) for values in found))
