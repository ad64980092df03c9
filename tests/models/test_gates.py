"""Every gate of the project is a `Gate`, and training at any rate of the study files leaves it alive."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.gates import Gate
from study.spec import components
from tests.models.parts import Spec, build, label

torch.set_num_threads(1)
CHANNELS, LABELS = 256, 4
# OSIM's gate has a test of its own beside its formula.
GATED: list[tuple[str, Spec]] = [
    ("attention", {"name": "channel"}),
    ("attention", {"name": "se"}),
    ("attention", {"name": "eca"}),
    ("attention", {"name": "spatial"}),
    ("attention", {"name": "coordinate"}),
    ("attention", {"name": "cbam"}),
    ("attention", {"name": "residual"}),
    ("fusion", {"name": "dual_synergy", "casfm": False, "dim": CHANNELS}),
    ("fusion", {"name": "dual_synergy", "casfm": False, "dim": CHANNELS, "similarity": "cosine"}),
]


def maps(num: int, *, pair: bool) -> Tensor:
    """Random maps as a backbone gives them: nowhere negative."""
    return torch.randn(num, 2 if pair else 1, CHANNELS, 5, 5).relu()


def train(module: nn.Module, lr: float, *, pair: bool, steps: int = 60) -> None:
    """Trains the module with a linear head on labels that are a linear function of the maps."""

    def pooled(x: Tensor) -> Tensor:
        y: Tensor = module(x) if pair else module(x[:, 0])
        return y.mean((2, 3)) if y.ndim == 4 else y

    head = nn.Linear(pooled(maps(2, pair=pair)).shape[1], LABELS)
    directions = torch.randn(LABELS, CHANNELS)
    adam = torch.optim.AdamW([*module.parameters(), *head.parameters()], lr=lr)
    for _ in range(steps):
        x = maps(8, pair=pair)
        target = ((x.mean((1, 3, 4)) - 0.4) @ directions.T > 0).float()
        loss = F.binary_cross_entropy_with_logits(head(pooled(x)), target)
        adam.zero_grad()
        loss.backward()
        adam.step()


def factors_of(module: nn.Module, x: Tensor) -> dict[str, Tensor]:
    """The factors of each gate of the module in evaluation, "b m", by the gate's path."""
    seen: dict[str, list[Tensor]] = {}

    def watch(path: str) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], None]:
        return lambda _gate, _args, y: seen.setdefault(path, []).append(y.detach().flatten(1))

    for path, gate in module.named_modules():
        if isinstance(gate, Gate):
            gate.register_forward_hook(watch(path))
    module.eval()
    with torch.no_grad():
        module(x)
    return {path: torch.cat(parts, 1) for path, parts in seen.items()}


def test_a_gate_is_the_sigmoid_of_its_layers() -> None:
    x = torch.randn(3, 4)
    linear = nn.Linear(4, 2)
    torch.testing.assert_close(Gate()(x), 1 / (1 + torch.exp(-x)))
    torch.testing.assert_close(Gate(linear)(x), 1 / (1 + torch.exp(-linear(x))))


@pytest.mark.parametrize("lr", [2e-5, 5e-4, 1e-2])
@pytest.mark.parametrize(("kind", "spec"), GATED, ids=label)
def test_gates_stay_alive_at_every_rate_of_the_study_files(kind: str, spec: Spec, lr: float) -> None:
    torch.manual_seed(0)
    pair = kind == "fusion"
    module = build(kind, spec, CHANNELS, *([2] if pair else []))
    train(module, lr, pair=pair)
    x = maps(32, pair=pair)
    found = factors_of(module, x if pair else x[:, 0])
    assert found
    for path, factors in found.items():
        saturated = (factors < 0.01) | (factors > 0.99)
        assert saturated.float().mean() < 0.2, path
        assert factors.std(0).mean() > 0.01, path  # and it says different things of different images


def test_no_component_has_a_sigmoid_that_is_no_gate() -> None:
    for kind in ("context", "attention", "fusion"):
        for name in components.names(kind):
            module = build(kind, {"name": name}, 16, *([2] if kind == "fusion" else []))
            ungated = [path for path, part in module.named_modules() if "Sigmoid" in type(part).__name__]
            assert not ungated, (kind, name)
