"""Batches of pairs from the cache, normalised on the device, the same ones for the same seed and epoch."""

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
from study.data.cutmix import CutMix, Partners, mixed
from study.data.preprocessing import NORMALISE

RESIDENT = 2  # caches that stay on the device: with generated images, training and evaluation use two in turn
ROOM = 0.4  # of the free device memory: a larger set stays on the host


class Batch(NamedTuple):
    """Samples of one step.

    Attributes:
        images: Normalised.
        targets: 0 to 1, -1 unknown; between 0 and 1 only where labels were mixed.
        view_targets: The same for each image; they follow the pixels, exchanged with the eyes and mixed by area.
        rows: Positions of the samples in the cache's pairs.
    """

    images: Float[Tensor, "b v 3 h w"]
    targets: Float[Tensor, "b l"]
    view_targets: Float[Tensor, "b v l"]
    rows: Int64[Tensor, " b"]


class Batches:
    """Iterates over samples of a cache in batches of `batch_size`; a last batch of one sample joins the one before (batch norm).

    Args:
        cache: The pixels and labels.
        rows: Positions of the samples in `cache.pairs`.
        batch_size: Samples a batch.
        device: Where the batches go.
        normalise: Key of `NORMALISE`.
        augmentation: Changes of the images, None for evaluation.
        cutmix: Mixing with other samples of `rows`, after the augmentation.
        align: `flip_right` mirrors the second view left to right, after everything else.
        seed: Decides order and changes, together with the epoch.
        order: `given` by `rows`, shuffled anew each epoch, or batches of as many samples of each class.
        rank: This process's number among `world_size`, which share the samples: each is seen by exactly one, shares differ by at most
            one sample, and the number of batches is the same for all.
        world_size: Number of processes.
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
        cutmix: CutMix = CutMix(),
        align: Literal["none", "flip_right"] = "none",
        seed: int = 0,
        order: Order = "given",
        rank: int = 0,
        world_size: int = 1,
        resident: bool = False,
    ) -> None:
        self.cache, self.rows, self.batch_size, self.device = cache, rows, batch_size, device
        self.augmentation, self.cutmix, self.align, self.seed, self.order = (
            augmentation,
            cutmix,
            align,
            seed,
            order,
        )
        self.rank, self.world_size, self.epoch = rank, world_size, 0
        mean, std = NORMALISE[normalise]
        self._scale = (1 / torch.tensor(std)).view(3, 1, 1).to(device)
        self._shift = (-torch.tensor(mean) / torch.tensor(std)).view(3, 1, 1).to(device)
        self._targets = torch.from_numpy(cache.pairs.targets.astype(np.float32)).to(device)
        self._view_targets = torch.from_numpy(cache.pairs.view_targets.astype(np.float32)).to(device)
        self._partners = (
            Partners(rows, cutmix.groups(cache.pairs.targets[rows])) if cutmix.kind != "none" else None
        )
        self._resident = (
            resident_images(cache.folder, str(device)) if resident and _fits(cache, device) else None
        )

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

        Counted on what all shares hold, so that no process waits for another one's batch; a last single sample joins the batch before.
        """
        in_all = len(self.rows) // self.world_size or num
        starts = list(range(0, in_all, self.batch_size))
        if len(starts) > 1 and in_all - starts[-1] == 1:
            starts.pop()
        return list(pairwise([*starts, num]))

    def _batch(self, rows: Int[np.ndarray, " b"], generator: torch.Generator) -> Batch:
        batch = self._samples(rows, generator)
        if self._partners is not None:
            chosen, partners = self._partners.draw(rows, self.cutmix.probability, generator)
            if len(chosen):
                self._mix(
                    batch,
                    torch.from_numpy(chosen).to(self.device),
                    self._samples(partners, generator),
                    generator,
                )
        if self.align == "flip_right":
            batch.images[:, 1] = batch.images[:, 1].flip(-1)
        return batch

    def _samples(self, rows: Int[np.ndarray, " b"], generator: torch.Generator) -> Batch:
        """Samples by themselves, augmented."""
        index = torch.from_numpy(rows.astype(np.int64)).to(self.device)
        images = self._pixels(rows).permute(0, 1, 4, 2, 3).contiguous().float().div_(255)
        view_targets = self._view_targets[index]
        if self.augmentation is not None:
            images, swapped = self.augmentation(images, generator)
            view_targets = torch.where(swapped[:, None, None], view_targets.flip(1), view_targets)
        return Batch(images.mul_(self._scale).add_(self._shift), self._targets[index], view_targets, index)

    def _mix(
        self, batch: Batch, chosen: Int64[Tensor, " m"], partners: Batch, generator: torch.Generator
    ) -> None:
        """Pastes parts of the partners into the chosen samples, in place."""
        boxes = self.cutmix.boxes(partners.images, generator)
        batch.images[chosen] = torch.where(boxes.unsqueeze(2), partners.images, batch.images[chosen])
        area = boxes.float().mean(dim=(2, 3)).unsqueeze(-1)
        batch.view_targets[chosen] = mixed(batch.view_targets[chosen], partners.view_targets, area)
        if self.cutmix.kind == "standard":
            batch.targets[chosen] = mixed(batch.targets[chosen], partners.targets, area.mean(dim=1))

    def _pixels(self, rows: Int[np.ndarray, " b"]) -> UInt8[Tensor, "b v h w 3"]:
        wanted = self.cache.index[rows]
        if self._resident is not None:
            return self._resident[torch.from_numpy(wanted).to(self.device)]
        return torch.from_numpy(self.cache.images[wanted]).to(self.device)


@lru_cache(maxsize=RESIDENT)
def resident_images(folder: Path, device: str) -> UInt8[Tensor, "m px px 3"]:
    """All pixels of a cache on a device, kept for the next trial of this process; the last ones asked for stay."""
    mapped = np.load(folder / IMAGES, mmap_mode="r")
    images = torch.empty(mapped.shape, dtype=torch.uint8, device=device)
    for start in range(0, len(mapped), 1024):
        images[start : start + 1024] = torch.from_numpy(np.array(mapped[start : start + 1024])).to(device)
    return images


def _fits(cache: ImageCache, device: torch.device) -> bool:
    return device.type == "cuda" and cache.images.nbytes < ROOM * torch.cuda.mem_get_info(device)[0]


def _seed(*parts: int) -> int:
    return int(np.random.SeedSequence(parts).generate_state(1, np.uint64)[0] >> np.uint64(1))
