"""Batches of pairs from the cache, normalised on the device; equal seeds and epochs give equal batches."""

from collections.abc import Callable, Iterator
from typing import Literal, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, Int64
from torch import Tensor

from study.data.ahead import made_ahead
from study.data.cache import IMAGES, ImageCache
from study.data.class_balance import Order
from study.data.cutmix import CutMix, Partners, mix
from study.data.preprocessing import NORMALISE
from study.data.resident import CachedRows
from study.data.sample_order import SampleOrder

Change = Callable[
    [Float[Tensor, "b v c h w"], torch.Generator], tuple[Float[Tensor, "b v c h w"], Bool[Tensor, " b"]]
]
"""Changes images, and says in which samples the views have changed places."""
NO_CUTMIX = CutMix()


class Batch(NamedTuple):
    """Samples of one step.

    Attributes:
        images: Normalised images of all views; in memory the channels of a pixel lie side by side.
        targets: Labels of the samples, 0 to 1, -1 where unknown; between 0 and 1 only where labels were
            mixed.
        view_targets: Labels of each image. They follow the pixels: exchanged with the eyes and mixed by area.
        rows: Positions of the samples in the cache's pairs.
    """

    images: Float[Tensor, "b v 3 h w"]
    targets: Float[Tensor, "b l"]
    view_targets: Float[Tensor, "b v l"]
    rows: Int64[Tensor, " b"]


class Batches:
    """Iterates over samples of a cache in batches, in the order of `SampleOrder`.

    Args:
        cache: The pixels and labels.
        rows: Positions of the samples in `cache.pairs`.
        batch_size: Number of samples in a batch.
        device: Where the batches go.
        normalise: Key of `NORMALISE`.
        augmentation: Changes of the images, with the call of `Augmentation`; None for evaluation.
        cutmix: Mixing with other samples of `rows`, after the augmentation.
        align: `flip_right` mirrors the second view left to right, after everything else.
        seed: Decides order and changes, together with the epoch.
        order: As in `SampleOrder`.
        rank: Number of this process, from 0.
        world_size: Number of processes that share the samples.
        resident: Keep all pixels of the cache on a CUDA device with enough free memory.
    """

    def __init__(
        self,
        cache: ImageCache,
        rows: Int[np.ndarray, " n"],
        *,
        batch_size: int,
        device: torch.device,
        normalise: str,
        augmentation: Change | None = None,
        cutmix: CutMix = NO_CUTMIX,
        align: Literal["none", "flip_right"] = "none",
        seed: int = 0,
        order: Order = "given",
        rank: int = 0,
        world_size: int = 1,
        resident: bool = False,
    ) -> None:
        self.cache, self.device = cache, device
        self.augmentation, self.cutmix, self.align = augmentation, cutmix, align
        self._order = SampleOrder(
            rows,
            cache.pairs.targets[rows],
            batch_size=batch_size,
            seed=seed,
            order=order,
            rank=rank,
            world_size=world_size,
        )
        mean, std = NORMALISE[normalise]
        self._scale = (1 / torch.tensor(std)).view(3, 1, 1).to(device)
        self._shift = (-torch.tensor(mean) / torch.tensor(std)).view(3, 1, 1).to(device)
        self._targets = torch.from_numpy(cache.pairs.targets.astype(np.float32)).to(device)
        self._view_targets = torch.from_numpy(cache.pairs.view_targets.astype(np.float32)).to(device)
        self._partners: Partners | None = None
        if cutmix.kind != "none":
            self._partners = Partners(rows, cutmix.groups(cache.pairs.targets[rows]))
        self._pixels = CachedRows(cache.folder / IMAGES, device, resident=resident)

    def set_epoch(self, epoch: int) -> None:
        """Chooses the order and the changes of the next pass."""
        self._order.epoch = epoch

    def __len__(self) -> int:
        """Number of batches."""
        return len(self._order)

    def __iter__(self) -> Iterator[Batch]:
        """One pass over this process's share."""
        generator = self._order.generator()
        return made_ahead((self._batch(rows, generator) for rows in self._order), self.device)

    def _batch(self, rows: Int[np.ndarray, " b"], generator: torch.Generator) -> Batch:
        batch = self._samples(rows, generator)
        if self._partners is not None:
            chosen, partner_rows = self._partners.draw(rows, self.cutmix.probability, generator)
            if len(chosen):
                partners = self._samples(partner_rows, generator)
                self._paste(batch, torch.from_numpy(chosen).to(self.device), partners, generator)
        if self.align == "flip_right":
            batch.images[:, 1] = batch.images[:, 1].flip(-1)
        return batch

    def _samples(self, rows: Int[np.ndarray, " b"], generator: torch.Generator) -> Batch:
        """Samples, each augmented by itself and not yet mixed with others."""
        index = torch.from_numpy(rows.astype(np.int64)).to(self.device)
        images = self._pixels(self.cache.index[rows]).permute(0, 1, 4, 2, 3).contiguous().float().div_(255)
        view_targets = self._view_targets[index]
        if self.augmentation is not None:
            images, swapped = self.augmentation(images, generator)
            view_targets = torch.where(swapped[:, None, None], view_targets.flip(1), view_targets)
        images = _channels_last(images.mul_(self._scale).add_(self._shift))
        return Batch(images, self._targets[index], view_targets, index)

    def _paste(
        self, batch: Batch, chosen: Int64[Tensor, " m"], partners: Batch, generator: torch.Generator
    ) -> None:
        """Pastes a rectangle of each partner into its chosen sample, in place."""
        boxes = self.cutmix.boxes(partners.images, generator)
        batch.images[chosen] = torch.where(boxes.unsqueeze(2), partners.images, batch.images[chosen])
        area = boxes.float().mean(dim=(2, 3)).unsqueeze(-1)
        batch.view_targets[chosen] = mix(batch.view_targets[chosen], partners.view_targets, area)
        if self.cutmix.kind == "standard":
            batch.targets[chosen] = mix(batch.targets[chosen], partners.targets, area.mean(dim=1))


def _channels_last(images: Float[Tensor, "b v c h w"]) -> Float[Tensor, "b v c h w"]:
    """The same images, in the memory format in which networks are trained."""
    flat = images.flatten(0, 1).contiguous(memory_format=torch.channels_last)
    return torch.unflatten(flat, 0, images.shape[:2])
