"""Batches of pairs from the cache, normalised on the device; equal seeds and epochs give equal batches."""

from collections.abc import Iterator
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int, Int64, UInt8
from torch import Tensor

from study.data.augmentation import Augmentation
from study.data.cache import IMAGES, ImageCache
from study.data.class_balance import Order, balanced_order
from study.data.cutmix import CutMix, Partners, mix
from study.data.preprocessing import NORMALISE

MAX_RESIDENT = 2  # caches on the device: with generated images, training and evaluation use two in turn
MAX_MEMORY_SHARE = 0.4  # of the free device memory: a larger cache stays on the host
IMAGES_AT_A_TIME = 1024  # that are copied to the device
NO_CUTMIX = CutMix()


class Batch(NamedTuple):
    """Samples of one step.

    Attributes:
        images: Normalised images of all views.
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
    """Iterates over samples of a cache in batches.

    A last batch of one sample joins the batch before, since batch norm cannot work on one sample.

    Args:
        cache: The pixels and labels.
        rows: Positions of the samples in `cache.pairs`.
        batch_size: Number of samples in a batch.
        device: Where the batches go.
        normalise: Key of `NORMALISE`.
        augmentation: Changes of the images, None for evaluation.
        cutmix: Mixing with other samples of `rows`, after the augmentation.
        align: `flip_right` mirrors the second view left to right, after everything else.
        seed: Decides order and changes, together with the epoch.
        order: `given` keeps the order of `rows`, `shuffle` draws a new one each epoch, `class_balanced` fills
            batches with as many samples of each class.
        rank: Number of this process, from 0.
        world_size: Number of processes that share the samples. Each sample is seen by exactly one of them,
            shares differ by at most one sample, and the number of batches is the same for all.
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
        augmentation: Augmentation | None = None,
        cutmix: CutMix = NO_CUTMIX,
        align: Literal["none", "flip_right"] = "none",
        seed: int = 0,
        order: Order = "given",
        rank: int = 0,
        world_size: int = 1,
        resident: bool = False,
    ) -> None:
        self.cache, self.rows, self.batch_size, self.device = cache, rows, batch_size, device
        self.augmentation, self.cutmix, self.align = augmentation, cutmix, align
        self.seed, self.order, self.rank, self.world_size = seed, order, rank, world_size
        self.epoch = 0
        mean, std = NORMALISE[normalise]
        self._scale = (1 / torch.tensor(std)).view(3, 1, 1).to(device)
        self._shift = (-torch.tensor(mean) / torch.tensor(std)).view(3, 1, 1).to(device)
        self._targets = torch.from_numpy(cache.pairs.targets.astype(np.float32)).to(device)
        self._view_targets = torch.from_numpy(cache.pairs.view_targets.astype(np.float32)).to(device)
        self._partners: Partners | None = None
        if cutmix.kind != "none":
            self._partners = Partners(rows, cutmix.groups(cache.pairs.targets[rows]))
        self._resident: UInt8[Tensor, "m px px 3"] | None = None
        if resident and _fits(cache, device):
            self._resident = resident_images(cache.folder, str(device))

    def set_epoch(self, epoch: int) -> None:
        """Chooses the order and the changes of the next pass."""
        self.epoch = epoch

    def __len__(self) -> int:
        """Number of batches."""
        return len(self._bounds(len(self.rows[self.rank :: self.world_size])))

    def __iter__(self) -> Iterator[Batch]:
        """One pass over this process's share."""
        shard = self._shard()
        generator = torch.Generator().manual_seed(_seed(self.seed, self.epoch, self.rank))
        for start, stop in self._bounds(len(shard)):
            yield self._batch(shard[start:stop], generator)

    def _shard(self) -> Int[np.ndarray, " m"]:
        if self.order == "given":
            return self.rows[self.rank :: self.world_size]
        rng = np.random.default_rng([self.seed, self.epoch])
        if self.order == "shuffle":
            return rng.permutation(self.rows)[self.rank :: self.world_size]
        shares = [len(self.rows[rank :: self.world_size]) for rank in range(self.world_size)]
        sizes = [stop - start for share in shares for start, stop in self._bounds(share)]
        order = balanced_order(self.cache.pairs.targets[self.rows].argmax(axis=1), sizes, rng)
        return np.split(self.rows[order], np.cumsum(shares))[self.rank]

    def _bounds(self, num: int) -> list[tuple[int, int]]:
        """Start and stop of each batch of a share of `num` samples.

        The number of batches follows from the smallest share, so that no process waits for a batch of another
        one.
        """
        smallest = len(self.rows) // self.world_size or num
        starts = list(range(0, smallest, self.batch_size))
        if len(starts) > 1 and smallest - starts[-1] == 1:
            starts.pop()  # a single last sample joins the batch before
        return list(pairwise([*starts, num]))

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
        images = self._pixels(rows).permute(0, 1, 4, 2, 3).contiguous().float().div_(255)
        view_targets = self._view_targets[index]
        if self.augmentation is not None:
            images, swapped = self.augmentation(images, generator)
            view_targets = torch.where(swapped[:, None, None], view_targets.flip(1), view_targets)
        return Batch(images.mul_(self._scale).add_(self._shift), self._targets[index], view_targets, index)

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

    def _pixels(self, rows: Int[np.ndarray, " b"]) -> UInt8[Tensor, "b v h w 3"]:
        wanted = self.cache.index[rows]
        if self._resident is not None:
            return self._resident[torch.from_numpy(wanted).to(self.device)]
        return torch.from_numpy(self.cache.images[wanted]).to(self.device)


@lru_cache(maxsize=MAX_RESIDENT)
def resident_images(folder: Path, device: str) -> UInt8[Tensor, "m px px 3"]:
    """All pixels of a cache on a device, kept for the next trial of this process.

    The caches that were asked for last stay.
    """
    mapped = np.load(folder / IMAGES, mmap_mode="r")
    images = torch.empty(mapped.shape, dtype=torch.uint8, device=device)
    for start in range(0, len(mapped), IMAGES_AT_A_TIME):
        part = slice(start, start + IMAGES_AT_A_TIME)
        images[part] = torch.from_numpy(np.array(mapped[part])).to(device)
    return images


def _fits(cache: ImageCache, device: torch.device) -> bool:
    """Whether the pixels of a cache may stay on the device."""
    if device.type != "cuda":
        return False
    free, _ = torch.cuda.mem_get_info(device)
    return cache.images.nbytes < MAX_MEMORY_SHARE * free


def _seed(*parts: int) -> int:
    return int(np.random.SeedSequence(parts).generate_state(1, np.uint64)[0] >> np.uint64(1))
