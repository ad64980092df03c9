"""The training loop, without Ray and without a data set."""

import math
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from models.attentions.none import NoAttention
from models.attentions.se import SqueezeExcitation
from models.backbones import build_backbone
from models.contexts.none import NoContext
from models.contracts import Backbone
from models.fusions.concat import Concat
from models.heads.multi_label import MultiLabel
from models.losses.bce import Bce
from models.output import Output
from models.siamese import SiameseNet
from study.engine.training.finite import STEPS_OF_A_CHECK, NonFiniteLoss
from study.engine.training.fit import Epoch, fit, parameter_groups, warmup_cosine
from study.engine.training.network import Criterion
from study.spec.trial_spec import OptimiserSpec, TrainingSpec

CPU = torch.device("cpu")
OPTIMISER = OptimiserSpec(lr=3e-3, weight_decay=1e-4)


class FixedBatches:
    """Batches of the same 16 pairs, in an order that depends on the epoch."""

    def __init__(self, num: int = 2) -> None:
        self.num = num
        generator = torch.Generator().manual_seed(0)
        self.images = torch.randn(16, 2, 3, 32, 32, generator=generator)
        self.targets = (torch.rand(16, 3, generator=generator) < 0.4).float()
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __len__(self) -> int:
        return self.num

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        order = torch.randperm(16, generator=torch.Generator().manual_seed(self.epoch))
        for rows in order.split(16 // self.num):
            yield self.images[rows], self.targets[rows], self.targets[rows][:, None]


def nothing(backbone: Backbone) -> tuple[NoContext, NoAttention]:
    """A context and an attention that do nothing."""
    return NoContext(backbone.out_channels), NoAttention(backbone.out_channels)


def network(dropout: float = 0.0) -> SiameseNet:
    torch.manual_seed(0)
    backbone = build_backbone("tiny", image_px=32)
    fusion = Concat(backbone.out_channels, 2)
    return SiameseNet(
        backbone, *nothing(backbone), fusion, MultiLabel(fusion.out_features, 3, dropout=dropout)
    )


def loss() -> Criterion:
    return Criterion(Bce(torch.full((3,), 0.5)), MultiLabel(1, 3), eye_weight=0.0)


def accuracy(batches: FixedBatches) -> Any:
    def evaluate(net: nn.Module) -> tuple[float, float]:
        net.eval()
        with torch.inference_mode():
            output = net(batches.images)
        right = ((output.logits > 0) == (batches.targets > 0)).float().mean()
        return float(right), float(loss()(output, batches.targets, batches.targets[:, None]))

    return evaluate


def train(
    epochs: int,
    *,
    start: Any = None,
    stop_after: int | None = None,
    net: SiameseNet | None = None,
    **changes: Any,
) -> list[Epoch]:
    batches = FixedBatches()
    training = TrainingSpec(
        epochs=epochs, batch_size=8, patience=changes.pop("patience", 99), warmup_epochs=1, **changes
    )
    done = []
    for epoch in fit(
        net or network(), loss(), batches, accuracy(batches), OPTIMISER, training, CPU, start=start
    ):
        done.append(epoch)
        if epoch.epoch == stop_after:
            break
    return done


def test_it_overfits_sixteen_pairs() -> None:
    epochs = train(30)
    assert epochs[-1].value == 1.0
    assert epochs[-1].train_loss < 0.1 < epochs[0].train_loss


def test_the_same_seed_gives_the_same_training() -> None:
    first, second = ([(e.train_loss, e.val_loss, e.value) for e in train(4)] for _ in range(2))
    assert first == second


def test_stopping_and_going_on_equals_not_stopping() -> None:
    whole = train(6, net=network(dropout=0.3))
    state = train(6, net=network(dropout=0.3), stop_after=3)[-1].state()
    rest = train(6, net=network(dropout=0.3), start=state)
    assert [e.epoch for e in rest] == [4, 5, 6]
    assert [(e.train_loss, e.val_loss, e.value, e.lr, e.improved) for e in rest] == [
        (e.train_loss, e.val_loss, e.value, e.lr, e.improved) for e in whole[3:]
    ]


def test_training_ends_without_progress() -> None:
    batches = FixedBatches()
    values = iter([0.1, 0.3, 0.2, 0.3, 0.9])
    epochs = list(
        fit(
            network(),
            loss(),
            batches,
            lambda net: (next(values), 0.0),
            OPTIMISER,
            TrainingSpec(epochs=9, patience=2),
            CPU,
        )
    )
    assert [e.improved for e in epochs] == [True, True, False, False]


def test_the_first_non_finite_loss_ends_it() -> None:
    class Broken(nn.Module):
        def forward(self, output: Output, targets: Tensor, view_targets: Tensor) -> Tensor:
            return output.logits.sum() * math.inf

    batches = FixedBatches()
    with pytest.raises(NonFiniteLoss, match=r"the loss was .*inf.* in step 1 of epoch 1"):
        list(fit(network(), Broken(), batches, accuracy(batches), OPTIMISER, TrainingSpec(epochs=2), CPU))


class BrokenAt(nn.Module):
    """A loss that is infinite at one step and raises an error of its own at a later one."""

    def __init__(self, infinite: int, error: int = 99) -> None:
        super().__init__()
        self.infinite, self.error, self.step = infinite, error, 0

    def forward(self, output: Output, targets: Tensor, view_targets: Tensor) -> Tensor:
        self.step += 1
        if self.step == self.error:
            raise RuntimeError("the matrix is singular")
        return output.logits.sum() * (math.inf if self.step == self.infinite else 1)


@pytest.mark.parametrize("together", [1, 3, 16])
@pytest.mark.parametrize("broken", [BrokenAt(4), BrokenAt(4, error=5)], ids=["alone", "with an error"])
def test_the_step_is_named_however_many_are_read_together(
    together: int, broken: BrokenAt, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(STEPS_OF_A_CHECK, "cpu", together)
    batches, broken.step = FixedBatches(num=4), 0
    training = TrainingSpec(epochs=2)
    with pytest.raises(NonFiniteLoss, match=r"the loss was .*inf.* in step 4 of epoch 1"):
        list(fit(network(), broken, batches, accuracy(batches), OPTIMISER, training, CPU))


def test_another_error_is_not_hidden() -> None:
    batches = FixedBatches()
    broken = BrokenAt(99, error=2)
    with pytest.raises(RuntimeError, match="singular"):
        list(fit(network(), broken, batches, accuracy(batches), OPTIMISER, TrainingSpec(epochs=1), CPU))


class ReadNumbers(TorchDispatchMode):
    """Notes which tensors are read as numbers, for which a GPU would be waited for."""

    def __init__(self) -> None:
        super().__init__()
        self.places: list[int] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.ops.aten._local_scalar_dense.default:
            self.places.append(args[0].data_ptr())
        if func in (torch.ops.aten.nonzero.default, torch.ops.aten.is_nonzero.default):
            self.places.append(0)
        return func(*args, **(kwargs or {}))


def test_a_gpu_is_waited_for_once_in_many_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(STEPS_OF_A_CHECK, "cpu", 16)
    batches = FixedBatches(num=8)
    with ReadNumbers() as read:
        (epoch,) = fit(
            network(), loss(), batches, lambda net: (0.0, 0.0), OPTIMISER, TrainingSpec(epochs=1), CPU
        )
    counters = {state["step"].data_ptr() for state in epoch.state()["optimiser"]["state"].values()}
    waits = [place for place in read.places if place not in counters]  # counters lie on the host
    assert len(counters) > 0
    assert len(waits) == 1  # the epoch's loss; its steps are read by `tolist`, which is one more


def test_the_backbone_has_its_own_rate_and_vectors_do_not_decay() -> None:
    net = network()
    groups = parameter_groups(net, loss(), OptimiserSpec(lr=1e-3, weight_decay=0.1, backbone_lr_scale=0.2))
    where = {id(p): (g["lr"], g["weight_decay"]) for g in groups for p in g["params"]}
    for name, parameter in net.named_parameters():
        lr, decay = where[id(parameter)]
        assert lr == pytest.approx(2e-4 if name.startswith("backbone.") else 1e-3)
        assert decay == (0.1 if parameter.ndim > 1 else 0.0)


@pytest.mark.parametrize(
    ("name", "depths"),
    [
        ("tiny", {f"net.stage{i}.": 5 - i for i in range(5)}),
        ("resnet18", {f"net.{i}.": 5 - i for i in range(5)}),
        ("vit_tiny_patch16_224", {"net.net.cls_token": 12, "net.net.patch_embed.": 12, "net.net.norm.": 1}
         | {f"net.net.blocks.{i}.": 12 - i for i in range(12)}),
    ],
    ids=["tiny", "resnet18", "vit"],
)  # fmt: skip
def test_the_rate_decays_from_the_output_to_the_first_stage(name: str, depths: dict[str, int]) -> None:
    backbone = build_backbone(name, image_px=32)
    if name == "tiny":
        backbone.attend(SqueezeExcitation, "every_stage")
        depths = {f"net.{i}.": 5 - i for i in range(5)}
    fusion = Concat(backbone.out_channels, 2)
    net = SiameseNet(backbone, *nothing(backbone), fusion, MultiLabel(fusion.out_features, 3))
    groups = parameter_groups(
        net, loss(), OptimiserSpec(lr=1e-3, weight_decay=0.1, backbone_lr_scale=0.2, layer_decay=0.65)
    )
    where = {id(p): (g["lr"], g["weight_decay"]) for g in groups for p in g["params"]}
    seen = set()
    for parameter_name, parameter in net.named_parameters():
        lr, decay = where[id(parameter)]
        assert decay == (0.1 if parameter.ndim > 1 else 0.0)
        inside = parameter_name.removeprefix("backbone.")
        start = next((s for s in depths if inside.startswith(s)), None)
        seen.add(start)
        if not parameter_name.startswith("backbone."):
            assert lr == 1e-3
        elif start is not None:
            assert lr == pytest.approx(1e-3 * 0.2 * 0.65 ** depths[start]), parameter_name
    assert seen == {*depths, None}
    assert len(where) == len(list(net.parameters()))
    assert groups[-1]["lr"] == 1e-3  # the rate that is shown


def test_a_frozen_backbone_is_left_alone() -> None:
    net = network()
    net.backbone.freeze("all")
    before = {name: value.clone() for name, value in net.backbone.state_dict().items()}
    train(2, net=net)
    assert all(torch.equal(value, before[name]) for name, value in net.backbone.state_dict().items())


def test_the_rate_warms_up_and_falls_to_zero() -> None:
    rates = [warmup_cosine(step, 4, 20) for step in range(21)]
    assert rates[:4] == pytest.approx([0.2, 0.4, 0.6, 0.8])
    assert rates[4] == 1.0
    assert rates[12] == pytest.approx(0.5)
    assert rates[20] == pytest.approx(0.0)
    assert rates[4:] == sorted(rates[4:], reverse=True)
