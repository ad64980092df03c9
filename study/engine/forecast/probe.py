"""What one batch takes: the steps of a real training on made-up pixels, timed, with the memory that they need."""

import multiprocessing
import resource
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from models.siamese import SiameseNet
from study.data.pairs import Pairs
from study.engine.training.fit import fit, use_bfloat16
from study.engine.training.network import build_criterion, build_network, label_sets, without_weights
from study.spec.errors import ResourceError
from study.spec.trial_spec import TrialSpec

CUDA_CONTEXT = 600 * 2**20  # what a process holds of a GPU before its first tensor
EVALUATION_BATCH = 32


Measure = Callable[[Sequence[TrialSpec], Pairs, int], "list[Probe]"]


@dataclass(frozen=True)
class Probe:
    """What a trial of one kind takes.

    Attributes:
        train_s: seconds of a training step, for one sample.
        embed_s: seconds of a forward pass in evaluation mode, for one sample.
        host_bytes: largest memory of the process.
        device_bytes: largest memory of the process on its GPU; 0 on a CPU.
        device_total: memory of that GPU.
        num_parameters: of the network.
        num_features: length of an embedding.
    """

    train_s: float
    embed_s: float
    host_bytes: int
    device_bytes: int
    device_total: int
    num_parameters: int
    num_features: int


class _MadeUp:
    """Batches of noise with real labels.

    Args:
        num: batches of an epoch.
    """

    def __init__(self, spec: TrialSpec, pairs: Pairs, device: torch.device, num: int) -> None:
        self._num, px = num, spec.data.image_px
        rows = torch.arange(spec.training.batch_size) % len(pairs)
        self._images = torch.randn(len(rows), pairs.num_views, 3, px, px, device=device)
        self._targets = torch.from_numpy(pairs.targets).float()[rows].to(device)
        self._views = torch.from_numpy(pairs.view_targets).float()[rows].to(device)

    def set_epoch(self, epoch: int) -> None:
        """All epochs are alike."""

    def __len__(self) -> int:
        return self._num

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        return iter([(self._images, self._targets, self._views)] * self._num)


def probe_key(spec: TrialSpec) -> tuple[str, int, int, int]:
    """What decides how long a step takes and how much memory: backbone, image size, batch."""
    backbone = spec.model.backbone
    return backbone.name, backbone.drop_stages, spec.data.image_px, spec.training.batch_size


def heaviest(fillings: Sequence[TrialSpec], pairs: Pairs) -> dict[tuple[str, int, int, int], TrialSpec]:
    """For each kind of training the filling with the most parameters."""
    found: dict[tuple[str, int, int, int], tuple[int, TrialSpec]] = {}
    for spec in fillings:
        with torch.device("meta"):
            net = _network(spec, pairs)
        size = sum(p.numel() for p in net.parameters())
        if size > found.get(probe_key(spec), (-1, spec))[0]:
            found[probe_key(spec)] = (size, spec)
    return {which: spec for which, (_, spec) in found.items()}


def measure(specs: Sequence[TrialSpec], pairs: Pairs, threads: int) -> list[Probe]:
    """Probes of trials, in this process, which must be a fresh one: the memory is that of its whole life.

    Args:
        specs: one trial of each kind.
        pairs: the data set, for its labels and views.
        threads: CPU cores of a trial.
    """
    torch.set_num_threads(threads)
    device = torch.device("cuda", 0) if torch.cuda.is_available() else torch.device("cpu")
    return [_measure(spec, pairs, device) for spec in specs]


def measure_apart(specs: Sequence[TrialSpec], pairs: Pairs, threads: int) -> list[Probe]:
    """The same in a process of its own on this machine.

    Raises:
        ResourceError: the system ended that process, as it does when memory runs out.
    """
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        try:
            return pool.submit(measure, specs, pairs, threads).result()
        except BrokenProcessPool:
            names = ", ".join(
                sorted({f"{spec.model.backbone.name} at {spec.data.image_px} px" for spec in specs})
            )
            raise ResourceError(
                f"`training.batch_size`: one batch must fit the memory, got a process that died on {names}."
            ) from None


def _measure(spec: TrialSpec, pairs: Pairs, device: torch.device) -> Probe:
    cuda = device.type == "cuda"
    if cuda:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
    net = _network(spec, pairs).to(device).to(memory_format=torch.channels_last)
    known = torch.from_numpy(pairs.targets).float()
    loss = build_criterion(spec, net, known[(known >= 0).all(1)]).to(device)
    embed_s, num_features = 0.0, 0

    def evaluate(trained: nn.Module) -> tuple[float, float]:
        nonlocal embed_s, num_features
        images = torch.randn(
            EVALUATION_BATCH, pairs.num_views, 3, spec.data.image_px, spec.data.image_px, device=device
        )
        trained.eval()
        began = time.perf_counter()
        with (
            torch.inference_mode(),
            torch.autocast(
                device.type, torch.bfloat16, enabled=use_bfloat16(spec.training.precision, device)
            ),
        ):
            num_features = trained(images).fused.float().cpu().shape[1]  # the copy waits for the device
        embed_s = (time.perf_counter() - began) / EVALUATION_BATCH
        return 0.0, 0.0

    steps = spec.training.model_copy(update={"epochs": 2, "patience": 2, "warmup_epochs": 0})
    try:
        *_, last = fit(net, loss, _MadeUp(spec, pairs, device, 2), evaluate, spec.optimiser, steps, device)
    except torch.cuda.OutOfMemoryError:
        raise _too_large(spec, torch.cuda.get_device_properties(device).total_memory) from None
    return Probe(
        train_s=1 / last.pairs_per_second,
        embed_s=embed_s,
        host_bytes=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        * (1 if sys.platform == "darwin" else 1024),
        device_bytes=torch.cuda.max_memory_reserved(device) + CUDA_CONTEXT if cuda else 0,
        device_total=torch.cuda.get_device_properties(device).total_memory if cuda else 0,
        num_parameters=sum(p.numel() for p in net.parameters()),
        num_features=num_features,
    )


def _too_large(spec: TrialSpec, total: int) -> ResourceError:
    return ResourceError(
        f"`training.batch_size`: a batch must fit the GPU, got {spec.training.batch_size} samples of {spec.model.backbone.name} at "
        f"{spec.data.image_px} px, more than its {total / 2**30:.0f} GiB. Take smaller batches, smaller images or another backbone."
    )


def _network(spec: TrialSpec, pairs: Pairs) -> SiameseNet:
    sets = label_sets(torch.from_numpy(pairs.targets).float())
    return build_network(without_weights(spec), len(pairs.labels), pairs.num_views, sets)
