"""What a study will take before it has begun: hours, memory, disk; and what cannot fit."""

import math
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean
from types import MappingProxyType

from study.data.pairs import Pairs
from study.data.preprocessing import Preprocessing
from study.data.resident import MAX_RESIDENT
from study.engine.forecast.features import Keeping, keeping
from study.engine.forecast.generators import (
    Generating,
    GeneratorProbe,
    generating,
    num_training_samples,
    real_samples,
)
from study.engine.forecast.probe import FeatureProbe, Probe, ProbeKey, probe_key
from study.engine.training.feature_plan import plan_features
from study.spec.errors import ResourceError
from study.spec.resources import FEATURES_GB
from study.spec.section import is_uri
from study.spec.study_file import StudySpec
from study.spec.trial_spec import TrialSpec
from study.spec.wording import duration_text, size_text

BESIDE_S = 1.0  # seconds of a trial's start, scoring and writing
SPARE = 0.9  # part of a GPU's memory that trials may take; the allocator cannot use the rest
MOST_ON_A_GPU = 8  # more trials than these would wait for its cores, not for its memory
THUMB_BYTES = 64 * 64 * 3
SEARCHED, FINETUNED, REPEATED = "of the search", "of its best fine-tuned", "repeats of its best"
ABLATED = "of ablations"
STORED_HEADS = 3  # heads whose predictions are stored: the network's own and the post-hoc ones


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """What the whole study takes at most: no trial is stopped early in it.

    Attributes:
        hours: Hours of the generators' trainings, then of all trials, `concurrent` at a time.
        trials: Number of trials of the search, fine-tuned, of its repeats and of the ablations.
        trial_s: Seconds of the shortest and of the longest kind of trial.
        concurrent: Number of trials at a time.
        host_bytes: Memory of the largest trial.
        device_bytes: GPU memory of the largest trial; 0 without a GPU.
        device_total: Memory of the GPU; 0 without one.
        cache_bytes: Bytes of the decoded images, on each machine.
        run_bytes: Bytes of the records.
        generating: What the generators take of these hours, and of the disk beside the decoded images.
        keeping: What the features of frozen backbones take of these hours, and of the disk.
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
    keeping: Keeping = field(default_factory=Keeping)

    def rows(self) -> list[tuple[str, str]]:
        """Lines for the console: what is needed, and how much of it."""
        trial = " to ".join(dict.fromkeys(duration_text(seconds) for seconds in self.trial_s))
        total = f"at most {duration_text(self.hours * 3600)}"
        time = f"{total}: {trial} a trial, {self.concurrent} at a time, none stopped early"
        kept = f"{size_text(self.keeping.num_bytes)} of features, " if self.keeping.set_bytes else ""
        images = f"{size_text(self.cache_bytes)} of decoded images"
        disk = f"{images}, {kept}{size_text(self.run_bytes)} of results"
        rows = [
            ("trials", ", ".join(f"{num} {kind}" for kind, num in self.trials.items() if num)),
            ("time", time),
            ("memory", self._memory()),
            ("disk", disk),
        ]
        if self.generating.trainings:
            rows.append(("generators", self._generators()))
        if self.keeping.set_bytes:
            rows.append(("features", self.keeping.text()))
        return rows

    def _memory(self) -> str:
        all_trials = size_text(self.host_bytes * self.concurrent)
        memory = f"{size_text(self.host_bytes)} a trial, {all_trials} for {self.concurrent} at a time"
        if not self.device_bytes:
            return memory
        return f"{memory}; {size_text(self.device_bytes)} of a GPU's {size_text(self.device_total)}"

    def _generators(self) -> str:
        need = self.generating
        folds = f" and {duration_text(need.again_s)} in trials on other folds" if need.again_s else ""
        when = f"{duration_text(need.before_s)} of that time before the first trial{folds}"
        disk = f"another {size_text(need.num_bytes)} of disk with their images"
        return f"{need.trainings} to train, {when}; {disk}"

    def require_fit(self, memory: int, cache: Path, storage: str) -> None:
        """Refuses what cannot fit.

        Args:
            memory: Bytes of this machine that are free for trials.
            cache: Folder of the image caches.
            storage: Folder or URI of the results.

        Raises:
            ResourceError: Memory or a disk is too small.
        """
        if self.host_bytes * self.concurrent > memory:
            raise self._too_little_memory(memory)
        needs = {cache: self.cache_bytes + self.generating.num_bytes + self.keeping.num_bytes}
        if not is_uri(storage):
            needs[Path(storage)] = self.run_bytes
        for folder, num_bytes in needs.items():
            free = free_disk(folder)
            if num_bytes > free:
                raise ResourceError(
                    f"`{folder}`: must have room for {size_text(num_bytes)}, got {size_text(free)} free. "
                    "Choose another place."
                )

    def _too_little_memory(self, memory: int) -> ResourceError:
        num_trials = memory // self.host_bytes
        remedy = "Take smaller batches or images, or a larger machine."
        if num_trials:
            remedy = f"Set resources.concurrent={num_trials}."
        return ResourceError(
            f"`resources`: {self.concurrent} trials at a time must fit the memory, "
            f"got {size_text(self.host_bytes)} for each and {size_text(memory)} free. {remedy}"
        )


def forecast(
    spec: StudySpec,
    searched: Sequence[TrialSpec],
    pairs: Pairs,
    probes: Mapping[ProbeKey, Probe],
    concurrent: int,
    generators: Mapping[str, GeneratorProbe] = MappingProxyType({}),
) -> Forecast:
    """What the whole study takes, from one probe of each kind of trial.

    Args:
        spec: The study.
        searched: Trials that stand for the search; all count as equally likely, also among the best ones.
        pairs: The data set.
        probes: One probe of each kind of trial.
        concurrent: Number of trials at a time.
        generators: Probes of the generators, by `str`.
    """
    variants, finetuned = spec.ablation_trainings(), spec.finetuned_trials()
    most_gb = spec.resources.features_gb
    search_s = _seconds(searched, pairs, probes, most_gb)
    finetune_s = _seconds(finetuned, pairs, probes, most_gb)
    ablation_s = _seconds(variants, pairs, probes, most_gb)
    repeats = _repeats(spec, searched)
    repeat_s = mean(_seconds(repeats, pairs, probes, most_gb))
    kept = keeping([*searched, *finetuned, *variants], pairs, probes, most_gb)
    need = generating(spec, searched, variants, pairs, generators)
    num_best = spec.num_finetuned
    num_trials = spec.num_trials + num_best + spec.num_repeats + len(variants)
    trials_s = spec.num_trials * mean(search_s) + spec.num_repeats * repeat_s + sum(ablation_s)
    trials_s += num_best * mean(finetune_s or [0.0])
    at_a_time = min(concurrent, max(1, num_trials))
    return Forecast(
        hours=(need.before_s + kept.making_s + (trials_s + need.again_s) / at_a_time) / 3600,
        trials={
            SEARCHED: spec.num_trials,
            FINETUNED: num_best,
            REPEATED: spec.num_repeats,
            ABLATED: len(variants),
        },
        trial_s=(min(search_s + ablation_s), max(search_s + finetune_s + ablation_s)),
        concurrent=concurrent,
        host_bytes=max(probe.host_bytes for probe in probes.values()),
        device_bytes=max(probe.device_bytes for probe in probes.values()),
        device_total=max(probe.device_total for probe in probes.values()),
        cache_bytes=sum(image_bytes([*searched, *variants], pairs)),
        run_bytes=_run_bytes(spec, num_trials, pairs, list(probes.values()), concurrent),
        generating=need,
        keeping=kept,
    )


def _repeats(spec: StudySpec, searched: Sequence[TrialSpec]) -> Sequence[TrialSpec]:
    """The trials of the search as they are repeated, or as they are where nothing is repeated."""
    confirm = spec.search.confirm
    if confirm is None:
        return searched
    return [trial.repeated(seed=0, fold=0, folds=confirm.folds) for trial in searched]


def _seconds(
    trials: Sequence[TrialSpec], pairs: Pairs, probes: Mapping[ProbeKey, Probe], most_gb: float
) -> list[float]:
    """Seconds of each trial."""
    return [trial_seconds(trial, pairs, probes[probe_key(trial)], most_gb) for trial in trials]


def _run_bytes(
    spec: StudySpec, num_trials: int, pairs: Pairs, probes: Sequence[Probe], concurrent: int
) -> int:
    """Bytes of all embeddings and predictions, of the kept weights, and of running trials' checkpoints."""
    row_bytes = 4 * (max(probe.num_features for probe in probes) + 2 * STORED_HEADS * len(pairs.labels))
    trained = 4 * max(probe.num_trained for probe in probes)
    frozen = 4 * sum({probe.num_parameters - probe.num_trained for probe in probes})  # kept once in the run
    checkpoint = 4 * trained  # the weights, two moments of the optimiser, the best weights
    num_kept = max(spec.keep_weights, spec.num_finetuned) + spec.num_finetuned + 1
    return num_trials * len(pairs) * row_bytes + num_kept * trained + frozen + concurrent * checkpoint


def trial_seconds(spec: TrialSpec, pairs: Pairs, probe: Probe, most_gb: float = FEATURES_GB) -> float:
    """Seconds of a trial that is never stopped.

    epochs · (n_train · step + n_val · pass) + n · pass + BESIDE_S. Generated samples count among n_train
    and n. Step and pass are those from features where the trial works from them.
    """
    times: Probe | FeatureProbe = probe
    if probe.features is not None and plan_features(spec, pairs, most_gb) is not None:
        times = probe.features
    real = real_samples(spec.data.split, len(pairs))
    num_val = spec.data.split.val * len(pairs)
    num_train = num_training_samples(real, spec.data.generated)
    epoch_s = num_train * times.train_s + num_val * times.embed_s
    num_samples = len(pairs) - real + num_train
    return spec.training.epochs * epoch_s + num_samples * times.embed_s + BESIDE_S


def image_bytes(trials: Sequence[TrialSpec], pairs: Pairs) -> list[int]:
    """Bytes of all decoded images with their thumbnails, for each image setting, the largest first."""
    sides = {repr(Preprocessing.of(trial.data)): trial.data.image_px for trial in trials}
    num_images = len(pairs) * pairs.num_views
    return sorted((num_images * (px * px * 3 + THUMB_BYTES) for px in sides.values()), reverse=True)


def gpu_share(probes: Sequence[Probe], images: Sequence[int]) -> float:
    """The part of a GPU that the largest trial needs, as one over a whole number of trials; 1 without a GPU.

    Args:
        probes: One probe of each kind of trial.
        images: Bytes of the decoded images in each setting and of each set of features, the largest first;
            a trial's process keeps some of them on the GPU.
    """
    if not all(probe.device_bytes for probe in probes):
        return 1.0
    on_gpu = sum(images[:MAX_RESIDENT])
    num_trials = min(int(SPARE * probe.device_total / (probe.device_bytes + on_gpu)) for probe in probes)
    return math.floor(1e4 / max(1, min(num_trials, MOST_ON_A_GPU))) / 1e4


def free_memory() -> int:
    """Bytes that processes can still take: of the machine, or of the container's limit where that is less."""
    free = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    meminfo = Path("/proc/meminfo")
    if meminfo.is_file():
        lines = dict(line.split(":") for line in meminfo.read_text().splitlines())
        free = int(lines["MemAvailable"].split()[0]) * 1024
    limit, used = Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory.current")
    if limit.is_file() and used.is_file():
        most = limit.read_text().strip()
        if most.isdigit():  # `max` where there is no limit
            free = min(free, int(most) - int(used.read_text()))
    return free


def free_disk(folder: Path) -> int:
    """Bytes that are free where a folder is or would be."""
    absolute = folder.expanduser().absolute()
    existing = next(path for path in (absolute, *absolute.parents) if path.exists())
    return shutil.disk_usage(existing).free
