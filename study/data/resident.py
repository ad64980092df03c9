"""Arrays of a cache on the device, where its memory holds them, so that batches need not be copied there."""

from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
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
