"""One training as a generator of epochs: AdamW, warm-up and cosine, clipping, early stopping, best epoch. It knows no Ray."""

import math
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from study.engine.training.workers import WorkerGroup, bare
from study.spec.trial_spec import OptimiserSpec, TrainingSpec

State = dict[str, Any]


class NonFiniteLoss(ArithmeticError):
    """The training loss is no finite number; the training cannot go on."""


class TrainingBatches(Protocol):
    """Shuffled batches of one epoch after another, a pure function of the seed and the epoch."""

    def set_epoch(self, epoch: int) -> None: ...
    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[Any]: ...


@dataclass(frozen=True)
class Epoch:
    """What one epoch gave.

    Attributes:
        epoch: number, from 1.
        train_loss: mean over the epoch's samples.
        val_loss: the same loss on the validation split.
        value: the objective on the validation split.
        lr: learning rate at the end of the epoch.
        seconds: of training and validation.
        pairs_per_second: of the training part.
        improved: whether `value` is the best so far.
        state: makes a state from which `fit` goes on as if it had never stopped.
    """

    epoch: int
    train_loss: float
    val_loss: float
    value: float
    lr: float
    seconds: float
    pairs_per_second: float
    improved: bool
    state: Callable[[], State]


def fit(
    net: nn.Module,
    loss: nn.Module,
    batches: TrainingBatches,
    evaluate: Callable[[nn.Module], tuple[float, float]],
    optimiser: OptimiserSpec,
    training: TrainingSpec,
    device: torch.device,
    group: WorkerGroup = WorkerGroup(),
    start: State | None = None,
) -> Iterator[Epoch]:
    """Trains the network in place and yields after each epoch; ends after `epochs` or without progress for `patience`.

    Args:
        net: the network on its device, perhaps wrapped for data parallelism.
        loss: maps (output, targets, targets of each view) to a scalar.
        batches: the training split.
        evaluate: gives (objective, loss) on the validation split; greater is better.
        optimiser: rates and decay.
        training: epochs, clipping, patience, precision.
        device: where the network is.
        group: the workers that train together.
        start: the state of an earlier `Epoch`; what it had seen is not seen again.

    Raises:
        NonFiniteLoss: the loss of a step is infinite or no number.
    """
    steps = _Steps(net, loss, optimiser, training, device, len(batches))
    best, stale, first = -math.inf, 0, 1
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

        def state(epoch: int = epoch, best: float = best, stale: int = stale) -> State:
            return {**steps.state(), "epoch": epoch, "best": best, "stale": stale}

        yield Epoch(
            epoch, group.mean(train_loss), val_loss, value, steps.lr, time.perf_counter() - began,
            group.size * num_samples / max(trained - began, 1e-9), improved, state,
        )  # fmt: skip


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
        self.net, self.loss, self.clip_norm, self.device = net, loss, training.clip_norm, device
        self.accumulate = training.accumulate
        self.bfloat16 = use_bfloat16(training.precision, device)
        self.parameters = [p for p in net.parameters() if p.requires_grad]
        self.optimiser = torch.optim.AdamW(
            parameter_groups(bare(net), loss, optimiser),
            lr=optimiser.lr,
            weight_decay=optimiser.weight_decay,
            foreach=True,
        )
        warmup, total = training.warmup_epochs * steps_per_epoch, training.epochs * steps_per_epoch
        self.schedule = torch.optim.lr_scheduler.LambdaLR(
            self.optimiser, lambda step: warmup_cosine(step, warmup, total)
        )

    @property
    def lr(self) -> float:
        return float(self.schedule.get_last_lr()[-1])

    def epoch(self, batches: Iterable[Any], epoch: int) -> tuple[float, int]:
        """One pass over the batches: mean loss and number of samples. The loss stays on the device until the end of the pass."""
        self.net.train()
        total, num_samples = torch.zeros((), device=self.device), 0
        for images, targets, view_targets, *_ in batches:
            self.optimiser.zero_grad(set_to_none=True)
            found = self._backward(images, targets, view_targets)
            norm = nn.utils.clip_grad_norm_(self.parameters, self.clip_norm)
            if not math.isfinite(float(norm + found)):  # one wait for the device, not two
                raise NonFiniteLoss(
                    f"the loss was {float(found):g} with a gradient of norm {float(norm):g} in epoch {epoch}"
                )
            self.optimiser.step()
            self.schedule.step()
            total += found * len(images)
            num_samples += len(images)
        return float(total) / max(num_samples, 1), num_samples

    def _backward(self, images: Tensor, targets: Tensor, view_targets: Tensor) -> Tensor:
        """Adds the gradients of a batch, worked on in parts of at least two samples, and gives its loss: Σ |part| / |batch| · L(part)."""
        parts = max(1, min(self.accumulate, len(images) // 2))
        found = torch.zeros((), device=self.device)
        for seen, known, known_views in zip(
            *(t.tensor_split(parts) for t in (images, targets, view_targets)), strict=True
        ):
            with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bfloat16):
                output = self.net(seen)
            part_loss: Tensor = self.loss(output.float(), known, known_views) * (len(seen) / len(images))
            part_loss.backward()
            found += part_loss.detach()
        return found

    def state(self) -> State:
        return {
            "net": bare(self.net).state_dict(),
            "loss": self.loss.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "schedule": self.schedule.state_dict(),
            "random": torch.get_rng_state(),
            "random_cuda": torch.cuda.get_rng_state(self.device) if self.device.type == "cuda" else None,
        }

    def restore(self, state: State) -> None:
        bare(self.net).load_state_dict(state["net"])
        self.loss.load_state_dict(state["loss"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.schedule.load_state_dict(state["schedule"])
        torch.set_rng_state(state["random"].cpu())
        if state["random_cuda"] is not None and self.device.type == "cuda":
            torch.cuda.set_rng_state(state["random_cuda"].cpu(), self.device)


def parameter_groups(net: nn.Module, loss: nn.Module, optimiser: OptimiserSpec) -> list[dict[str, Any]]:
    """One group for each learning rate, with and without weight decay: none on biases, norms and other vectors.

    The rate is `lr` outside the backbone and lr · backbone_lr_scale · layer_decay^depth inside it, where the depth of the
    last stage is 1 (Clark et al. 2020, arXiv 2003.10555, appendix B).
    """
    depths = net.backbone.depths() if optimiser.layer_decay < 1 else {}  # type: ignore[operator, union-attr]
    groups: dict[tuple[int, bool], list[nn.Parameter]] = {}
    named = [*net.named_parameters(), *((f"loss.{name}", p) for name, p in loss.named_parameters())]
    for name, parameter in named:
        if parameter.requires_grad:
            depth = depths.get(name.removeprefix("backbone."), 1) if name.startswith("backbone.") else 0
            groups.setdefault((depth, parameter.ndim > 1), []).append(parameter)
    return [
        {
            "params": parameters,
            "lr": optimiser.lr
            * (optimiser.backbone_lr_scale * optimiser.layer_decay**depth if depth else 1.0),
            "weight_decay": optimiser.weight_decay if decays else 0.0,
        }
        for (depth, decays), parameters in sorted(groups.items(), key=lambda item: item[0], reverse=True)
    ]


def warmup_cosine(step: int, warmup: float, total: float) -> float:
    """Share of the learning rate: (step + 1) / warmup while warming up, then half a cosine from 1 to 0."""
    if step < warmup:
        return (step + 1) / (warmup + 1)
    return 0.5 * (1 + math.cos(math.pi * min(1.0, (step - warmup) / max(1.0, total - warmup))))


def use_bfloat16(precision: str, device: torch.device) -> bool:
    """Whether networks run in bfloat16: as asked, or on a GPU that has it."""
    if precision == "auto":
        return device.type == "cuda" and torch.cuda.is_bf16_supported()
    return precision == "bfloat16"
