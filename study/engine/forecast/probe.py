"""What one batch takes: the time of real training steps on made-up pixels, and the memory that they need."""

import multiprocessing
import resource
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from models.siamese import FromFeatures, SiameseNet
from study.data.pairs import Pairs
from study.engine.training.feature_plan import why_images, why_images_by_file
from study.engine.training.fit import fit, use_bfloat16
from study.engine.training.network import (
    Criterion,
    build_criterion,
    build_network,
    label_sets,
    without_weights,
)
from study.spec.errors import ResourceError
from study.spec.trial_spec import TrialSpec

CUDA_CONTEXT = 600 * 2**20  # what a process holds of a GPU before its first tensor
EVALUATION_BATCH = 32


class ProbeKey(NamedTuple):
    """What decides the time and the memory of a training step: trials with equal keys share a probe.

    Attributes:
        backbone: Name of the backbone.
        drop_stages: Number of its last stages that are left out.
        image_px: Side of an image in pixels.
        batch_size: Samples of a batch.
        frozen: What is frozen, and whether it runs for each image in every epoch; empty where nothing is.
    """

    backbone: str
    drop_stages: int
    image_px: int
    batch_size: int
    frozen: str = ""


@dataclass(frozen=True, kw_only=True)
class FeatureProbe:
    """What a trial with a frozen backbone takes where it works from features.

    Attributes:
        encode_s: Seconds of a pass of the frozen parts for one sample.
        train_s: Seconds of a training step on features for one sample.
        embed_s: Seconds of a forward pass from features in evaluation mode for one sample.
    """

    encode_s: float
    train_s: float
    embed_s: float


@dataclass(frozen=True, kw_only=True)
class Probe:
    """What a trial of one kind takes.

    Attributes:
        train_s: Seconds of a training step for one sample.
        embed_s: Seconds of a forward pass in evaluation mode for one sample.
        host_bytes: Largest memory of the process.
        device_bytes: Largest memory of the process on its GPU; 0 on a CPU.
        device_total: Memory of that GPU; 0 on a CPU.
        num_parameters: Number of parameters of the network.
        num_trained: Number of those that each trial keeps: all but those of a pretrained backbone's frozen
            parts, which a run keeps once.
        num_features: Length of an embedding.
        features: The same times from features; None where the trial works from images.
    """

    train_s: float
    embed_s: float
    host_bytes: int
    device_bytes: int
    device_total: int
    num_parameters: int
    num_trained: int
    num_features: int
    features: FeatureProbe | None = None


Measure = Callable[[Sequence[TrialSpec], Pairs, int], list[Probe]]
"""Probes trials, on the labels and views of a data set, with a number of CPU cores."""


def probe_key(spec: TrialSpec) -> ProbeKey:
    """The key of a trial's probe."""
    backbone = spec.model.backbone
    frozen = "" if backbone.freeze in ("none", 0) else str(backbone.freeze)
    if frozen and why_images_by_file(spec):
        frozen += ", from images"
    return ProbeKey(backbone.name, backbone.drop_stages, spec.data.image_px, spec.training.batch_size, frozen)


def heaviest(trials: Sequence[TrialSpec], pairs: Pairs) -> dict[ProbeKey, TrialSpec]:
    """For each probe the trial with the most parameters."""
    largest: dict[ProbeKey, tuple[int, TrialSpec]] = {}
    for spec in trials:
        with torch.device("meta"):
            num_parameters = _num_parameters(_network(spec, pairs))
        key = probe_key(spec)
        if key not in largest or num_parameters > largest[key][0]:
            largest[key] = (num_parameters, spec)
    return {key: spec for key, (_, spec) in largest.items()}


def measure(specs: Sequence[TrialSpec], pairs: Pairs, threads: int) -> list[Probe]:
    """Probes trials in this process, which must be a fresh one: its memory is measured over its whole life.

    Args:
        specs: One trial for each probe.
        pairs: The data set, for its labels and views.
        threads: CPU cores of a trial.
    """
    torch.set_num_threads(threads)
    device = torch.device("cuda", 0) if torch.cuda.is_available() else torch.device("cpu")
    return [_measure(spec, pairs, device) for spec in specs]


def measure_apart(specs: Sequence[TrialSpec], pairs: Pairs, threads: int) -> list[Probe]:
    """Does what `measure` does, in a process of its own on this machine.

    Raises:
        ResourceError: The system ended that process, as it does when memory runs out.
    """
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        try:
            return pool.submit(measure, specs, pairs, threads).result()
        except BrokenProcessPool:
            names = sorted({f"{spec.model.backbone.name} at {spec.data.image_px} px" for spec in specs})
            raise ResourceError(
                "`training.batch_size`: one batch must fit the memory, got a process that died on "
                f"{', '.join(names)}. Take smaller batches, smaller images or another backbone."
            ) from None


class _NoiseBatches:
    """Two batches of noise with real labels.

    Args:
        noise: Images, or features of images.
        pairs: The data set, for its labels.
    """

    def __init__(self, noise: Tensor, pairs: Pairs) -> None:
        rows = torch.arange(len(noise)) % len(pairs)
        targets = torch.from_numpy(pairs.targets).float()[rows].to(noise.device)
        view_targets = torch.from_numpy(pairs.view_targets).float()[rows].to(noise.device)
        self._batches = [(noise, targets, view_targets)] * 2

    def set_epoch(self, epoch: int) -> None:
        """Does nothing: all epochs are alike."""

    def __len__(self) -> int:
        return len(self._batches)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        return iter(self._batches)


class _TimedEvaluation:
    """A pass over one batch of noise in evaluation mode.

    Attributes:
        seconds: Seconds of the pass for one sample.
        found: What it gave, on the CPU.

    Args:
        run: What is run.
        noise: Its input.
        bfloat16: Whether it runs in bfloat16.
    """

    def __init__(self, run: Callable[[Tensor], Tensor], noise: Tensor, *, bfloat16: bool) -> None:
        self._run, self._noise, self._bfloat16 = run, noise, bfloat16
        self.seconds, self.found = 0.0, torch.empty(0, 0)

    def __call__(self, net: nn.Module) -> tuple[float, float]:
        net.eval()
        began = time.perf_counter()
        with (
            torch.inference_mode(),
            torch.autocast(self._noise.device.type, torch.bfloat16, enabled=self._bfloat16),
        ):
            self.found = self._run(self._noise).float().cpu()  # the copy waits for the device
        self.seconds = (time.perf_counter() - began) / len(self._noise)
        return 0.0, 0.0


def _measure(spec: TrialSpec, pairs: Pairs, device: torch.device) -> Probe:
    on_gpu = device.type == "cuda"
    if on_gpu:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
    net = _network(spec, pairs).to(device).to(memory_format=torch.channels_last)
    targets = torch.from_numpy(pairs.targets).float()
    labelled = targets[(targets >= 0).all(1)]
    loss = build_criterion(spec, net, labelled).to(device)
    device_total = torch.cuda.get_device_properties(device).total_memory if on_gpu else 0
    images = _noise(max(EVALUATION_BATCH, spec.training.batch_size), spec, pairs, device)
    try:
        train_s, evaluated = _time(spec, net, loss, images, pairs)
        features = _measure_features(spec, net, loss, images, pairs)
    except torch.cuda.OutOfMemoryError:
        raise _too_large(spec, device_total) from None
    return Probe(
        train_s=train_s,
        embed_s=evaluated.seconds,
        host_bytes=_largest_memory(),
        device_bytes=torch.cuda.max_memory_reserved(device) + CUDA_CONTEXT if on_gpu else 0,
        device_total=device_total,
        num_parameters=_num_parameters(net),
        num_trained=_num_parameters(net) - _num_shared(spec, net),
        num_features=evaluated.found.shape[1],
        features=features,
    )


def _time(
    spec: TrialSpec, trained: nn.Module, loss: Criterion, noise: Tensor, pairs: Pairs
) -> tuple[float, _TimedEvaluation]:
    """Seconds of a training step for one sample, and a pass in evaluation mode.

    Args:
        spec: The trial.
        trained: The network as it takes the noise.
        loss: Its loss.
        noise: Images, or features of images.
        pairs: The data set, for its labels.
    """
    bfloat16 = use_bfloat16(spec.training.precision, noise.device)
    evaluate = _TimedEvaluation(lambda x: trained(x).fused, noise[:EVALUATION_BATCH], bfloat16=bfloat16)
    batches = _NoiseBatches(noise[: spec.training.batch_size], pairs)
    training = spec.training.model_copy(update={"epochs": 2, "patience": 2, "warmup_epochs": 0})
    *_, last = fit(trained, loss, batches, evaluate, spec.optimiser, training, noise.device)
    return 1 / last.pairs_per_second, evaluate


def _measure_features(
    spec: TrialSpec, net: SiameseNet, loss: Criterion, images: Tensor, pairs: Pairs
) -> FeatureProbe | None:
    """The times of the trial where it works from features; None where it works from images."""
    if why_images(spec, net):
        return None
    bfloat16 = use_bfloat16(spec.training.precision, images.device)
    encode = _TimedEvaluation(net.features, images, bfloat16=bfloat16)
    encode(net)
    features = encode.found.to(images.device).clone()  # a tensor of inference mode cannot be trained on
    train_s, evaluated = _time(spec, FromFeatures(net), loss, features, pairs)
    return FeatureProbe(encode_s=encode.seconds, train_s=train_s, embed_s=evaluated.seconds)


def _largest_memory() -> int:
    """Bytes of this process's memory when it was largest; Linux counts them in KiB."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _too_large(spec: TrialSpec, device_total: int) -> ResourceError:
    return ResourceError(
        f"`training.batch_size`: a batch must fit the GPU of {device_total / 2**30:.0f} GiB, got "
        f"{spec.training.batch_size} samples of {spec.model.backbone.name} at {spec.data.image_px} px. "
        "Take smaller batches, smaller images or another backbone."
    )


def _network(spec: TrialSpec, pairs: Pairs) -> SiameseNet:
    sets = label_sets(torch.from_numpy(pairs.targets).float())
    return build_network(without_weights(spec), len(pairs.labels), pairs.num_views, sets)


def _num_parameters(net: nn.Module) -> int:
    return sum(parameter.numel() for parameter in net.parameters())


def _num_shared(spec: TrialSpec, net: SiameseNet) -> int:
    return sum(map(_num_parameters, net.backbone.frozen_parts)) if spec.model.backbone.pretrained else 0


def _noise(num: int, spec: TrialSpec, pairs: Pairs, device: torch.device) -> Tensor:
    """Images "num v 3 px px" of noise."""
    px = spec.data.image_px
    return torch.randn(num, pairs.num_views, 3, px, px, device=device)
