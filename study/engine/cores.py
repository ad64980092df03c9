"""How many cores this process may use."""

import os


def usable_cores() -> int:
    """The cores that this process may run on; macOS does not say, and all of its cores count there."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
