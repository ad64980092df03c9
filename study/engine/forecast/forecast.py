"""What a study will take before it has begun: hours, memory, disk; and what cannot fit."""

import math
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean
from types import MappingProxyType

from study.data.batches import RESIDENT
from study.data.pairs import Pairs
from study.data.preprocessing import Preprocessing
from study.engine.forecast.generators import (
    Generating,
    GeneratorProbe,
    generating,
    num_training_samples,
    real_samples,
)
from study.engine.forecast.probe import Probe, probe_key
from study.engine.search.plan import repeated
from study.spec.errors import ResourceError
from study.spec.study_file import StudySpec
from study.spec.trial_spec import TrialSpec

ProbeKey = tuple[str, int, int, int]
BESIDE_S = 1.0  # start, scoring and writing of a trial
SPARE = 0.9  # of a GPU's memory goes to trials; the rest is for what the allocator cannot use
MOST_ON_A_GPU = 8  # more trials than these wait for its cores, not for its memory
THUMB_BYTES = 64 * 64 * 3
STORED_HEADS = 3  # the network's own predictions and those of post-hoc heads


@dataclass(frozen=True)
class Forecast:
    """What the whole study takes at most: no trial is stopped early in it.

    Attributes:
        hours: of the generators, then of `concurrent` trials at a time, one after another.
        trials: how many there are of the search, its repeats and the ablations.
        trial_s: seconds of the shortest and the longest kind of trial.
        concurrent: trials at a time.
        host_bytes: memory of the largest trial.
        device_bytes: GPU memory of the largest trial, 0 without a GPU.
        device_total: memory of the GPU.
        cache_bytes: the decoded images, on each machine.
        run_bytes: the records.
        generating: what generators take of these hours, and of the disk beside the decoded images.
    """

    hours: float
    trials: Mapping[str, int]
    trial_s: tuple[float, float]
    concurrent: int
    host_bytes: int
    device_bytes: int
    device_total: int
    cache_bytes: int
    run_bytes: int
    generating: Generating = field(default_factory=Generating)

    def rows(self) -> list[tuple[str, str]]:
        """Lines for the console: what, how much."""
        trial = " to ".join(dict.fromkeys(duration(s) for s in self.trial_s))
        memory = f"{size(self.host_bytes)} a trial, {size(self.host_bytes * self.concurrent)} for {self.concurrent} at a time"
        gpu = f"; {size(self.device_bytes)} of a GPU's {size(self.device_total)}" if self.device_bytes else ""
        rows = [
            ("trials", ", ".join(f"{num} {what}" for what, num in self.trials.items() if num)),
            (
                "time",
                f"at most {duration(self.hours * 3600)}: {trial} a trial, {self.concurrent} at a time, none stopped early",
            ),
            ("memory", memory + gpu),
            ("disk", f"{size(self.cache_bytes)} of decoded images, {size(self.run_bytes)} of results"),
        ]
        return [*rows, ("generators", self._generators())] if self.generating.trainings else rows

    def _generators(self) -> str:
        made = self.generating
        folds = f" and {duration(made.again_s)} in trials on other folds" if made.again_s else ""
        when = f"{duration(made.before_s)} of that time before the first trial{folds}"
        return f"{made.trainings} to train, {when}; another {size(made.num_bytes)} of disk with their images"

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
            remedy = (
                f"Set resources.concurrent={fits}."
                if fits
                else "Take smaller batches or images, or a larger machine."
            )
            raise ResourceError(
                f"`resources`: {self.concurrent} trials at a time must fit the memory, got {size(self.host_bytes)} for each "
                f"and {size(memory)} free. {remedy}"
            )
        wanted = {cache: self.cache_bytes + self.generating.num_bytes} | (
            {} if "://" in storage else {Path(storage): self.run_bytes}
        )
        for folder, num_bytes in wanted.items():
            free = free_disk(folder)
            if num_bytes > free:
                raise ResourceError(
                    f"`{folder}`: must have room for {size(num_bytes)}, got {size(free)} free. Choose another place."
                )


def forecast(
    spec: StudySpec,
    fillings: Sequence[TrialSpec],
    pairs: Pairs,
    probes: Mapping[ProbeKey, Probe],
    concurrent: int,
    generators: Mapping[str, GeneratorProbe] = MappingProxyType({}),
) -> Forecast:
    """The whole study's needs, from one probe of each kind of trial.

    Args:
        spec: the study.
        fillings: the search's fillings, which are taken to be equally likely, also among the best that are repeated.
        pairs: the data set.
        probes: of each kind.
        concurrent: trials at a time.
        generators: probes of each generator, by `str`.
    """
    variants = [
        spec.variant(table, name, a.seeds[0], {})
        for table, a in spec.ablations.items()
        for name in a.variants
        for _ in a.seeds
    ]
    confirm = spec.search.confirm
    repeats = [repeated(f, 0, 0, confirm.folds) for f in fillings] if confirm else fillings
    searched, again, follow = (
        [trial_seconds(f, pairs, probes[probe_key(f)]) for f in trials]
        for trials in (fillings, repeats, variants)
    )
    num = {
        "of the search": spec.num_trials,
        "repeats of its best": spec.num_repeats,
        "of ablations": len(follow),
    }
    num_trials = sum(num.values())
    made = generating(spec, fillings, variants, pairs, generators)
    total = spec.num_trials * mean(searched) + spec.num_repeats * mean(again) + sum(follow) + made.again_s
    return Forecast(
        hours=(made.before_s + total / min(concurrent, max(1, num_trials))) / 3600,
        trials=num,
        trial_s=(min(searched + follow), max(searched + follow)),
        concurrent=concurrent,
        host_bytes=max(p.host_bytes for p in probes.values()),
        device_bytes=max(p.device_bytes for p in probes.values()),
        device_total=max(p.device_total for p in probes.values()),
        cache_bytes=sum(image_bytes([*fillings, *variants], pairs)),
        run_bytes=_run_bytes(spec, num_trials, pairs, list(probes.values()), concurrent),
        generating=made,
    )


def _run_bytes(
    spec: StudySpec, num_trials: int, pairs: Pairs, probes: Sequence[Probe], concurrent: int
) -> int:
    """Embeddings and predictions of every trial, the weights that are kept, and the checkpoints of running trials."""
    row_bytes = 4 * (max(p.num_features for p in probes) + 2 * STORED_HEADS * len(pairs.labels))
    weights = 4 * max(p.num_parameters for p in probes)
    checkpoint = 4 * weights  # weights, two moments, the best weights
    return num_trials * len(pairs) * row_bytes + (spec.keep_weights + 1) * weights + concurrent * checkpoint


def trial_seconds(spec: TrialSpec, pairs: Pairs, probe: Probe) -> float:
    """Seconds of a trial that is never stopped: epochs · (n_train · step + n_val · pass) + n · pass + what stands beside.

    Generated samples count among n_train and n.
    """
    real, val = real_samples(spec.data.split, len(pairs)), spec.data.split.val * len(pairs)
    train = num_training_samples(real, spec.data.generated)
    return (
        spec.training.epochs * (train * probe.train_s + val * probe.embed_s)
        + (len(pairs) - real + train) * probe.embed_s
        + BESIDE_S
    )


def image_bytes(fillings: Sequence[TrialSpec], pairs: Pairs) -> list[int]:
    """Bytes of all decoded images with their thumbnails in each image setting, the largest first."""
    settings = {repr(Preprocessing.of(f.data)): f.data.image_px for f in fillings}
    return sorted(
        (len(pairs) * pairs.num_views * (px * px * 3 + THUMB_BYTES) for px in settings.values()), reverse=True
    )


def gpu_share(probes: Sequence[Probe], images: Sequence[int]) -> float:
    """The part of a GPU that the largest trial needs, as one over a whole number of trials; 1 without a GPU.

    Args:
        probes: of each kind of trial.
        images: bytes of decoded images in each setting, the largest first, of which a trial's process keeps some on the GPU.
    """
    if not all(p.device_bytes for p in probes):
        return 1.0
    fits = min(int(SPARE * p.device_total / (p.device_bytes + sum(images[:RESIDENT]))) for p in probes)
    return math.floor(1e4 / max(1, min(fits, MOST_ON_A_GPU))) / 1e4


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
