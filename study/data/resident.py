"""Rows of a cache's arrays on a device, where the whole array stays if the device's memory holds it."""

from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Int, Shaped
from torch import Tensor

MAX_RESIDENT = 2  # arrays on the device: with generated images, training and evaluation use two in turn
MAX_MEMORY_SHARE = 0.4  # of the free device memory: a larger array stays on the host
BYTES_AT_A_TIME = 2**27  # that are copied to the device


def fits(array: np.ndarray, device: torch.device) -> bool:
    """Whether an array may stay on the device."""
    if device.type != "cuda":
        return False
    free, _ = torch.cuda.mem_get_info(device)
    return array.nbytes < MAX_MEMORY_SHARE * free


@lru_cache(maxsize=MAX_RESIDENT)
def resident_array(file: Path, device: str) -> Tensor:
    """An array of a cache on a device, kept for the next trial of this process.

    The arrays that were asked for last stay.
    """
    mapped = np.load(file, mmap_mode="r")
    whole = torch.from_numpy(mapped[:0].copy()).new_empty(mapped.shape, device=device)
    step = max(1, BYTES_AT_A_TIME // max(1, mapped[:1].nbytes))
    for start in range(0, len(mapped), step):
        part = slice(start, start + step)
        whole[part] = torch.from_numpy(np.array(mapped[part])).to(device)
    return whole


class CachedRows:
    """Gives rows of an array of a cache on a device.

    Args:
        file: The array.
        device: Where the rows go.
        resident: Keep the whole array on a CUDA device with enough free memory.
    """

    def __init__(self, file: Path, device: torch.device, *, resident: bool) -> None:
        self._mapped: np.ndarray = np.load(file, mmap_mode="r")
        self._device = device
        self._whole: Tensor | None = None
        if resident and fits(self._mapped, device):
            self._whole = resident_array(file, str(device))

    def __call__(self, rows: Int[np.ndarray, "b v"]) -> Shaped[Tensor, "b v *s"]:
        """The rows with these numbers, each of which must lie in the array.

        On their way to a GPU they lie in pinned memory, from where they are copied while the caller goes on.
        """
        if self._whole is not None:
            return self._whole[torch.from_numpy(rows).to(self._device)]
        kind = torch.from_numpy(np.empty(0, self._mapped.dtype)).dtype
        shape = (*rows.shape, *self._mapped.shape[1:])
        host = torch.empty(shape, dtype=kind, pin_memory=self._device.type == "cuda")
        np.take(self._mapped, rows, axis=0, out=host.numpy(), mode="clip")  # other modes make a copy more
        return host.to(self._device, non_blocking=True)
