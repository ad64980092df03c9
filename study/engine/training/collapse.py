"""Whether a training has collapsed: its network is no better than the class prior, or has a shut gate."""

import math
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from torch import Tensor, nn

from models.gates import Gate
from study.data.cohort import Cohort
from study.engine.training.prior import prior_value
from study.evidence.objective import Judge

CLOSED_BELOW = 0.01  # a factor below it lets next to nothing through, neither the map nor the gradient
CLOSED_SHARE = 0.95  # of a gate's factors; the rest cannot carry what the map says


@dataclass
class GateWatch:
    """Counts the closed factors of the gates of a network while it runs.

    A gate that is open everywhere is not counted: the map goes through it as it is, and the network can learn
    around it.
    """

    _closed: dict[str, Tensor] = field(default_factory=dict)  # stays on the device until it is asked for
    _all: Counter[str] = field(default_factory=Counter)

    def note(self, gate: str, factors: Tensor) -> None:
        """Counts the factors of one call of a gate."""
        self._closed[gate] = self._closed.get(gate, 0) + (factors < CLOSED_BELOW).sum()
        self._all[gate] += factors.numel()

    def shut(self) -> list[str]:
        """The gates of which at least `CLOSED_SHARE` of the factors are closed, with that share in words."""
        shares = {gate: float(self._closed[gate]) / num for gate, num in self._all.items()}
        return [
            f"gate {gate} closed at {math.floor(100 * share)} % of its values"
            for gate, share in shares.items()
            if share >= CLOSED_SHARE
        ]


@contextmanager
def watched_gates(net: nn.Module) -> Iterator[GateWatch]:
    """Watches the gates of a network for as long as the context lasts."""
    watch = GateWatch()
    handles = []
    for path, module in net.named_modules():
        if isinstance(module, Gate):

            def note(gate: nn.Module, args: tuple[Tensor, ...], factors: Tensor, path: str = path) -> None:
                watch.note(path, factors)

            handles.append(module.register_forward_hook(note))
    try:
        yield watch
    finally:
        for handle in handles:
            handle.remove()


def collapse_of(judge: Judge, cohort: Cohort, value: float, shut: list[str]) -> str:
    """Why a training has collapsed, in words; empty where it has not.

    Args:
        judge: Judge of the trial.
        cohort: Data of the trial.
        value: The trial's objective on validation.
        shut: Shut gates, in words.
    """
    prior = prior_value(judge, cohort)
    below = not math.isnan(prior) and not value > prior
    return "; ".join([*(["not better than the class prior"] if below else []), *shut])
