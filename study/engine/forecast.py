"""What a study will take before it has begun: hours, memory, disk; and what cannot fit."""

import math
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from study.data.pairs import Pairs
from study.engine.probe import Probe, ResourceError, kind
from study.spec.study_file import StudySpec, TrialSpec

Kind = tuple[str, int, int, int]
BESIDE_S = 1.0  # start, scoring and writing of a trial
SPARE = 0.9  # of a GPU's memory goes to trials; the rest is for what the allocator cannot use
MOST_ON_A_GPU = 8  # more trials than these wait for its cores, not for its memory
THUMB_BYTES = 64 * 64 * 3
HEADS = 3  # the network's own predictions and those of post-hoc heads


@dataclass(frozen=True)
class Forecast:
    """What the whole study takes at most: no trial is stopped early in it.

    Attributes:
        hours: of `concurrent` trials at a time, one after another.
        trial_s: seconds of the shortest and the longest kind of trial.
        concurrent: trials at a time.
        host_bytes: memory of the largest trial.
        device_bytes: GPU memory of the largest trial, 0 without a GPU.
        device_total: memory of the GPU.
        cache_bytes: the decoded images, on each machine.
        run_bytes: the records.
    """

    hours: float
    trial_s: tuple[float, float]
    concurrent: int
    host_bytes: int
    device_bytes: int
    device_total: int
    cache_bytes: int
    run_bytes: int

    def rows(self) -> list[tuple[str, str]]:
        """Lines for the console: what, how much."""
        trial = " to ".join(dict.fromkeys(duration(s) for s in self.trial_s))
        memory = f"{size(self.host_bytes)} a trial, {size(self.host_bytes * self.concurrent)} for {self.concurrent} at a time"
        gpu = f"; {size(self.device_bytes)} of a GPU's {size(self.device_total)}" if self.device_bytes else ""
        return [
            ("time", f"at most {duration(self.hours * 3600)}: {trial} a trial, {self.concurrent} at a time, none stopped early"),
            ("memory", memory + gpu),
            ("disk", f"{size(self.cache_bytes)} of decoded images, {size(self.run_bytes)} of results"),
        ]

    def require_fit(self, memory: int, cache: Path, storage: str) -> None:
        """Refuses what cannot fit.

        Args:
            memory: bytes of this machine that are free for trials.
            cache: folder of the image caches.
            storage: folder or URI of the results.

        Raises:
            ResourceError: memory or a disk is too small.
        """
        if self.host_bytes * self.concurrent > memory:
            fits = memory // self.host_bytes
            remedy = f"Set resources.concurrent={fits}." if fits else "Take smaller batches or images, or a larger machine."
            raise ResourceError(
                f"`resources`: {self.concurrent} trials at a time must fit the memory, got {size(self.host_bytes)} for each "
                f"and {size(memory)} free. {remedy}"
            )
        wanted = {cache: self.cache_bytes} | ({} if "://" in storage else {Path(storage): self.run_bytes})
        for folder, num_bytes in wanted.items():
            free = free_disk(folder)
            if num_bytes > free:
                raise ResourceError(f"`{folder}`: must have room for {size(num_bytes)}, got {size(free)} free. Choose another place.")


def forecast(spec: StudySpec, fillings: Sequence[TrialSpec], pairs: Pairs, probes: Mapping[Kind, Probe], concurrent: int) -> Forecast:
    """The whole study's needs, from one probe of each kind of trial.

    Args:
        spec: the study.
        fillings: the search's fillings, which are taken to be equally likely.
        pairs: the data set.
        probes: of each kind.
        concurrent: trials at a time.
    """
    searched = [trial_seconds(f, pairs, probes[kind(f)]) for f in fillings]
    follow = [_variant(spec, table, name, pairs, probes) for table, a in spec.ablations.items() for name in a.variants for _ in a.seeds]
    total = spec.num_trials * sum(searched) / len(searched) + sum(follow)
    largest = max(probes.values(), key=lambda p: p.num_parameters)
    num = spec.num_trials + len(follow)
    row_bytes = 4 * (max(p.num_features for p in probes.values()) + 2 * HEADS * len(pairs.labels))
    checkpoint = 4 * 4 * largest.num_parameters  # weights, two moments, the best weights
    return Forecast(
        hours=total / min(concurrent, max(1, num)) / 3600,
        trial_s=(min(searched + follow), max(searched + follow)),
        concurrent=concurrent,
        host_bytes=max(p.host_bytes for p in probes.values()),
        device_bytes=max(p.device_bytes for p in probes.values()),
        device_total=max(p.device_total for p in probes.values()),
        cache_bytes=image_bytes(fillings, pairs),
        run_bytes=num * len(pairs) * row_bytes + (spec.keep_weights + 1) * 4 * largest.num_parameters + concurrent * checkpoint,
    )


def trial_seconds(spec: TrialSpec, pairs: Pairs, probe: Probe) -> float:
    """Seconds of a trial that is never stopped: epochs · (n_train · step + n_val · pass) + n · pass + what stands beside."""
    split = spec.data.split
    test = 1 / split.folds if split.folds > 1 else split.test
    train, val = (1 - test - split.val) * len(pairs), split.val * len(pairs)
    return spec.training.epochs * (train * probe.train_s + val * probe.embed_s) + len(pairs) * probe.embed_s + BESIDE_S


def image_bytes(fillings: Sequence[TrialSpec], pairs: Pairs) -> int:
    """Bytes of all decoded images with their thumbnails, in every image setting."""
    settings = {(f.data.image_px, f.data.crop, f.data.fit) for f in fillings}
    return sum(len(pairs) * pairs.num_views * (px * px * 3 + THUMB_BYTES) for px, *_ in settings)


def gpu_share(probes: Sequence[Probe], images: int) -> float:
    """The part of a GPU that the largest trial needs, as one over a whole number of trials; 1 without a GPU.

    Args:
        probes: of each kind of trial.
        images: bytes of decoded images, which each trial keeps on the GPU.
    """
    if not all(p.device_bytes for p in probes):
        return 1.0
    fits = min(int(SPARE * p.device_total / (p.device_bytes + images)) for p in probes)
    return math.floor(1e4 / max(1, min(fits, MOST_ON_A_GPU))) / 1e4


def _variant(spec: StudySpec, table: str, name: str, pairs: Pairs, probes: Mapping[Kind, Probe]) -> float:
    filled = spec.variant(table, name, spec.ablations[table].seeds[0], {})
    return trial_seconds(filled, pairs, probes[kind(filled)])


def free_memory() -> int:
    """Bytes that processes can still take: of the machine, or of the container's limit where that is less."""
    free = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if (told := Path("/proc/meminfo")).is_file():
        lines = dict(line.split(":") for line in told.read_text().splitlines())
        free = int(lines["MemAvailable"].split()[0]) * 1024
    limit, used = Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory.current")
    if limit.is_file() and used.is_file() and (text := limit.read_text().strip()).isdigit():
        free = min(free, int(text) - int(used.read_text()))
    return free


def free_disk(folder: Path) -> int:
    """Bytes that are free where a folder is or would be."""
    absolute = folder.expanduser().absolute()
    return shutil.disk_usage(next(p for p in (absolute, *absolute.parents) if p.exists())).free


def duration(seconds: float) -> str:
    """Seconds as people say them."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def size(num_bytes: float) -> str:
    """Bytes as people say them."""
    return f"{num_bytes / 2**30:.1f} GiB" if num_bytes >= 2**30 else f"{num_bytes / 2**20:.0f} MiB"
