"""Freed memory that the process keeps for a while."""

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager

# Parameters of mallopt(3), and the values that glibc begins with.
M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX = -1, -2, -4
BEGINNING = {M_TRIM_THRESHOLD: 128 * 2**10, M_TOP_PAD: 128 * 2**10, M_MMAP_MAX: 65_536}
KEEPING = {M_TRIM_THRESHOLD: 2**30, M_TOP_PAD: 64 * 2**20, M_MMAP_MAX: 0}


@contextmanager
def kept_heap() -> Iterator[None]:
    """The process keeps the memory that it frees, and gives it back at the end.

    A forward pass without gradients frees each activation at once. glibc would give each of some megabytes
    back to the system and fetch it again, page by page, which takes as long as the arithmetic of a small
    network. With another C library nothing happens.
    """
    try:
        libc = ctypes.CDLL("libc.so.6")
    except OSError:
        yield
        return
    for parameter, value in KEEPING.items():
        libc.mallopt(parameter, value)
    try:
        yield
    finally:
        for parameter, value in BEGINNING.items():
            libc.mallopt(parameter, value)
        libc.malloc_trim(0)
