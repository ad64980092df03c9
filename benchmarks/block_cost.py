"""Measures the cost of one training step of one network."""

import gc
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode


class WrittenBytes(TorchDispatchMode):
    """Counts the bytes that operations write; a view of a tensor writes none."""

    def __init__(self) -> None:
        super().__init__()
        self.num_bytes = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        if not func.is_view:
            parts = out if isinstance(out, tuple | list) else [out]
            self.num_bytes += sum(part.nbytes for part in parts if isinstance(part, Tensor))
        return out


@dataclass(frozen=True)
class Rates:
    """Best rates of the machine.

    Attributes:
        macs: Multiply-adds in a millisecond.
        num_bytes: Bytes written in a millisecond.
    """

    macs: float
    num_bytes: float


@dataclass(frozen=True, kw_only=True)
class Row:
    """One row of the table.

    Attributes:
        kind: Kind of the component.
        name: Name of the component, with its arguments.
        parameters: Number of parameters.
        macs: Multiply-adds of a forward pass.
        forward: Milliseconds of a forward pass.
        step: Milliseconds of forward and backward.
        memory: Most MiB that a step holds at once, without parameters and inputs.
        explained: Milliseconds that multiply-adds and written bytes explain.
    """

    kind: str
    name: str
    parameters: int
    macs: float
    forward: float
    step: float
    memory: float
    explained: float

    def cells(self) -> list[str]:
        """The row as text, in the order of the header."""
        return [
            self.kind,
            self.name,
            f"{self.parameters / 1e6:.2f}",
            f"{self.macs / 1e9:.3f}",
            f"{self.forward:.1f}",
            f"{self.step:.1f}",
            f"{self.memory:.0f}",
            f"{self.explained:.1f}",
            f"{self.step / self.explained:.1f}",
        ]


def clear_gradients(module: nn.Module, inputs: list[Tensor]) -> None:
    """Drops the gradients of parameters and inputs."""
    module.zero_grad(set_to_none=True)
    for x in inputs:
        x.grad = None


def step(module: nn.Module, inputs: list[Tensor]) -> None:
    """Runs forward and backward once."""
    clear_gradients(module, inputs)
    out = module(*inputs)
    y: Tensor = out[0] if isinstance(out, tuple) else out
    if y.requires_grad:
        torch.autograd.backward(y.sum())


def median_ms(act: Callable[[], object], repeats: int, device: torch.device) -> float:
    """Median time of a call after one that warms up: of the clock for a GPU, else of the processor."""
    clock = time.perf_counter if device.type == "cuda" else time.process_time
    found = []
    for _ in range(repeats + 1):
        began = clock()
        act()
        if device.type == "cuda":
            torch.cuda.synchronize()
        found.append(1e3 * (clock() - began))
    return statistics.median(found[1:])


def peak_mib(act: Callable[[], object], device: torch.device) -> float:
    """Most memory that a call holds at once, without what was held before it."""
    if device.type == "cuda":
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        act()
        torch.cuda.synchronize()
        return float(torch.cuda.max_memory_allocated() - before) / 2**20
    with torch.autograd.profiler.profile(use_cpu=True, profile_memory=True) as profile:
        act()
    events = [e for e in profile.kineto_results.events() if e.name() == "[memory]"]
    held = most = 0
    for event in sorted(events, key=lambda e: e.start_ns()):
        held += event.nbytes()
        most = max(most, held)
    return most / 2**20


def measure(kind: str, name: str, module: nn.Module, inputs: list[Tensor], repeats: int, rates: Rates) -> Row:
    """Measures one row, on the device of the inputs."""
    device = inputs[0].device
    module = module.to(device).to(memory_format=torch.channels_last).train()
    with FlopCounterMode(display=False) as forward_flops:
        module(*inputs)
    with FlopCounterMode(display=False) as flops, WrittenBytes() as written:
        step(module, inputs)
    clear_gradients(module, inputs)
    memory = peak_mib(lambda: step(module, inputs), device)
    row = Row(
        kind=kind,
        name=name,
        parameters=sum(p.numel() for p in module.parameters()),
        macs=forward_flops.get_total_flops() / 2,
        forward=median_ms(lambda: module(*inputs), repeats, device),
        step=median_ms(lambda: step(module, inputs), repeats, device),
        memory=memory,
        explained=flops.get_total_flops() / 2 / rates.macs + written.num_bytes / rates.num_bytes,
    )
    gc.collect()
    return row


def rates_of(device: torch.device) -> Rates:
    """Measures the rates of a matrix product of 2048 rows and of a copy of 64 MiB."""
    a, b = torch.randn(2, 2048, 2048, device=device)
    big = torch.randn(2**24, device=device)
    macs = 2048**3 / median_ms(lambda: a @ b, 5, device)
    return Rates(macs, big.nbytes / median_ms(big.clone, 5, device))
