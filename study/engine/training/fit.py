"""One training as a generator of epochs: AdamW, warm-up and cosine, clipping, early stopping, best epoch.

It knows no Ray.
"""

import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from models.siamese import SiameseNet
from study.engine.training.finite import STEPS_OF_A_CHECK, FiniteCheck
from study.engine.training.trained_state import load_trained_state, trained_state
from study.engine.training.workers import ALONE, WorkerGroup, bare
from study.spec.trial_spec import OptimiserSpec, TrainingSpec

FitState = dict[str, Any]  # all that `fit` needs to go on, as `torch.save` writes it


class TrainingBatches(Protocol):
    """Batches of one epoch after another, which depend on the seed and the epoch alone.

    A batch begins with images, targets and targets of each view.
    """

    def set_epoch(self, epoch: int) -> None:
        """Chooses the epoch whose batches come next."""

    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[Sequence[Tensor]]: ...


@dataclass(frozen=True, kw_only=True)
class Epoch:
    """What one epoch gave.

    Attributes:
        epoch: Number of the epoch, from 1.
        train_loss: Mean loss over the samples of the epoch.
        val_loss: The same loss on the validation split.
        value: Objective on the validation split.
        lr: Learning rate at the end of the epoch.
        seconds: Seconds spent in training and validation.
        pairs_per_second: Samples per second of the training part.
        improved: Whether `value` is the best so far.
        state: Makes a state from which `fit` goes on as if it had never stopped.
    """

    epoch: int
    train_loss: float
    val_loss: float
    value: float
    lr: float
    seconds: float
    pairs_per_second: float
    improved: bool
    state: Callable[[], FitState]


def fit(
    net: nn.Module,
    loss: nn.Module,
    batches: TrainingBatches,
    evaluate: Callable[[nn.Module], tuple[float, float]],
    optimiser: OptimiserSpec,
    training: TrainingSpec,
    device: torch.device,
    group: WorkerGroup = ALONE,
    start: FitState | None = None,
) -> Iterator[Epoch]:
    """Trains the network in place and yields after each epoch.

    The training ends after `training.epochs`, or when the objective has not improved for `training.patience`
    epochs.

    Args:
        net: The network on its device, perhaps wrapped for data parallelism.
        loss: Maps (output, targets, targets of each view) to a scalar.
        batches: Batches of the training split.
        evaluate: Gives (objective, loss) on the validation split; a greater objective is better.
        optimiser: Learning rates and weight decay.
        training: Epochs, clipping, patience and precision.
        device: Device of the network.
        group: Workers that train together.
        start: State of an earlier `Epoch`; the epochs before it are not trained again.

    Raises:
        NonFiniteLoss: The loss of a step is infinite or not a number. On a GPU it is found a few steps later,
            but before the end of the epoch.
    """
    steps = _Steps(net, loss, optimiser, training, device, len(batches))
    best, stale, first = -math.inf, 0, 1  # `stale` counts the epochs since the best one
    if start is not None:
        steps.restore(start)
        best, stale, first = start["best"], start["stale"], start["epoch"] + 1
    for epoch in range(first, training.epochs + 1):
        if stale >= training.patience:
            return
        began = time.perf_counter()
        batches.set_epoch(epoch)
        train_loss, num_samples = steps.epoch(batches, epoch)
        trained = time.perf_counter()
        value, val_loss = group.share(evaluate(bare(net)) if group.rank == 0 else None)
        improved = value > best
        best, stale = (value, 0) if improved else (best, stale + 1)

        def state(epoch: int = epoch, best: float = best, stale: int = stale) -> FitState:
            return {**steps.state(), "epoch": epoch, "best": best, "stale": stale}

        yield Epoch(
            epoch=epoch,
            train_loss=group.mean(train_loss),
            val_loss=val_loss,
            value=value,
            lr=steps.lr,
            seconds=time.perf_counter() - began,
            pairs_per_second=group.size * num_samples / max(trained - began, 1e-9),
            improved=improved,
            state=state,
        )


class _Steps:
    """Optimiser, schedule and precision of one training, stepped batch by batch."""

    def __init__(
        self,
        net: nn.Module,
        loss: nn.Module,
        optimiser: OptimiserSpec,
        training: TrainingSpec,
        device: torch.device,
        steps_per_epoch: int,
    ) -> None:
        self.net, self.loss, self.device = net, loss, device
        self.clip_norm, self.accumulate = training.clip_norm, training.accumulate
        self.bfloat16 = use_bfloat16(training.precision, device)
        self.parameters = [p for p in net.parameters() if p.requires_grad]
        self.optimiser = torch.optim.AdamW(
            parameter_groups(bare(net), loss, optimiser),
            lr=optimiser.lr,
            weight_decay=optimiser.weight_decay,
            fused=device.type == "cuda",
            foreach=device.type != "cuda",
        )
        warmup = training.warmup_epochs * steps_per_epoch
        total = training.epochs * steps_per_epoch
        self.schedule = torch.optim.lr_scheduler.LambdaLR(
            self.optimiser, lambda step: warmup_cosine(step, warmup, total)
        )

    @property
    def lr(self) -> float:
        return float(self.schedule.get_last_lr()[-1])

    def epoch(self, batches: Iterable[Sequence[Tensor]], epoch: int) -> tuple[float, int]:
        """Makes one pass over the batches and gives the mean loss and the number of samples.

        The sum of the losses stays on the device until the end of the pass.
        """
        self.net.train()
        total, num_samples = torch.zeros((), device=self.device), 0
        finite = FiniteCheck(epoch, STEPS_OF_A_CHECK[self.device.type])
        try:
            for images, targets, view_targets, *_ in batches:
                self.optimiser.zero_grad(set_to_none=True)
                batch_loss = self._backward(images, targets, view_targets)
                norm = nn.utils.clip_grad_norm_(self.parameters, self.clip_norm)
                finite.note(batch_loss, norm)
                self.optimiser.step()
                self.schedule.step()
                total += batch_loss * len(images)
                num_samples += len(images)
        finally:
            finite.read()  # whatever else goes wrong after a loss that is not finite is its consequence
        return float(total) / max(num_samples, 1), num_samples

    def _backward(self, images: Tensor, targets: Tensor, view_targets: Tensor) -> Tensor:
        """Adds the gradients of a batch and gives its loss: Σ |part| / |batch| · L(part).

        The batch is worked on in `accumulate` parts, or in fewer, so that each has at least two samples.
        """
        num_parts = max(1, min(self.accumulate, len(images) // 2))
        parts = [whole.tensor_split(num_parts) for whole in (images, targets, view_targets)]
        batch_loss = torch.zeros((), device=self.device)
        for part, part_targets, part_view_targets in zip(*parts, strict=True):
            with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bfloat16), tf32_products():
                output = self.net(part)
            share = len(part) / len(images)
            part_loss: Tensor = self.loss(output.float(), part_targets, part_view_targets) * share
            with tf32_products():
                part_loss.backward()
            batch_loss += part_loss.detach()
        return batch_loss

    def state(self) -> FitState:
        return {
            "net": trained_state(self.net),
            "loss": self.loss.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "schedule": self.schedule.state_dict(),
            "random": torch.get_rng_state(),
            "random_cuda": torch.cuda.get_rng_state(self.device) if self.device.type == "cuda" else None,
        }

    def restore(self, state: FitState) -> None:
        load_trained_state(self.net, state["net"])
        self.loss.load_state_dict(state["loss"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.schedule.load_state_dict(state["schedule"])
        torch.set_rng_state(state["random"].cpu())
        if state["random_cuda"] is not None and self.device.type == "cuda":
            torch.cuda.set_rng_state(state["random_cuda"].cpu(), self.device)


def parameter_groups(net: nn.Module, loss: nn.Module, optimiser: OptimiserSpec) -> list[dict[str, Any]]:
    """The parameters with a gradient, in two groups for each learning rate: with weight decay and without it.

    Biases, norms and other vectors do not decay. The rate is `lr` outside the backbone and
    lr · backbone_lr_scale · layer_decay^depth inside it, where the depth of the last stage is 1.

    Source: Clark et al. 2020, arXiv 2003.10555, appendix B, for the decay of the rate by depth.

    Args:
        net: The network, not wrapped; a `SiameseNet` where the rate decays by depth.
        loss: The loss, which may have parameters, too.
        optimiser: Learning rates and weight decay.

    Returns:
        The groups as the optimisers of torch take them; those outside the backbone come last.
    """
    depths = _backbone_depths(net) if optimiser.layer_decay < 1 else {}
    groups: dict[tuple[int, bool], list[nn.Parameter]] = {}
    named = [*net.named_parameters(), *((f"loss.{name}", p) for name, p in loss.named_parameters())]
    for name, parameter in named:
        if parameter.requires_grad:
            depth = depths.get(name.removeprefix("backbone."), 1) if name.startswith("backbone.") else 0
            groups.setdefault((depth, parameter.ndim > 1), []).append(parameter)
    ordered = []
    for depth, decays in sorted(groups, reverse=True):
        scale = optimiser.backbone_lr_scale * optimiser.layer_decay**depth if depth else 1.0
        group = {
            "params": groups[depth, decays],
            "lr": optimiser.lr * scale,
            "weight_decay": optimiser.weight_decay if decays else 0.0,
        }
        ordered.append(group)
    return ordered


def _backbone_depths(net: nn.Module) -> Mapping[str, int]:
    assert isinstance(net, SiameseNet)
    return net.backbone.depths()


@contextmanager
def tf32_products() -> Iterator[None]:
    """Lets GPUs round the factors of 32-bit matrix products to 11 significant bits.

    They do so in convolutions anyway. The forward pass of a loss stays outside, since losses of distances
    subtract products of nearly equal size.
    """
    products = torch.backends.cuda.matmul
    before, products.allow_tf32 = products.allow_tf32, True
    try:
        yield
    finally:
        products.allow_tf32 = before


def warmup_cosine(step: int, warmup: float, total: float) -> float:
    """Share of the learning rate at a step, counted from 0.

    (step + 1) / (warmup + 1) while step < warmup, then half a cosine from 1 to 0 at `total`.
    """
    if step < warmup:
        return (step + 1) / (warmup + 1)
    return 0.5 * (1 + math.cos(math.pi * min(1.0, (step - warmup) / max(1.0, total - warmup))))


def use_bfloat16(precision: str, device: torch.device) -> bool:
    """Whether networks run in bfloat16: where the precision says so, or by `auto` on a GPU that has it."""
    if precision == "auto":
        return device.type == "cuda" and torch.cuda.is_bf16_supported()
    return precision == "bfloat16"
