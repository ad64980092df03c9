"""Checks for components of other packages: each does what its contract promises.

from study.testing import check_component

def test_mine():
check_component("fusion", Mine, width=64)
"""

import copy
from typing import Any

import torch
from torch import Tensor, nn

from models import contracts
from models.contracts import Context, Contract, Fusion, Head, Loss, MapBlock, Pooling
from models.output import Output
from study.spec import components
from study.spec.errors import suggest

CHECKED = ("attention", "context", "pooling", "fusion", "head", "loss")
CHANNELS, LABELS, HEIGHT, WIDTH = 16, 4, 5, 6
SETS = torch.tensor(
    [[0.0, 0, 0, 0], [1, 0, 0, 0], [0, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1], [0, 1, 0, 1]]
)
"""Label sets of a head that wants them."""


def check_component(kind: str, component: type[Contract] | str, **args: Any) -> None:
    """Checks a component as the tests of this project check theirs.

    It is built as the platform builds it, with 16 channels and four labels, and with weights far from their
    start. Shapes are as promised on maps down to 1 x 1; gradients reach every sample, both eyes and every
    parameter; in evaluation a sample gives the same alone and in a batch; copies and restored weights give
    the same; nothing is infinite.

    Args:
        kind: `attention`, `context`, `pooling`, `fusion`, `head` or `loss`.
        component: The class, or the name of an installed one.
        **args: Keyword arguments as a study file sets them.

    Raises:
        AssertionError: The component does not do what its contract promises; the message says what.
        ValueError: There is no such kind.
    """
    if kind not in CHECKED:
        raise ValueError(
            f"`kind`: must be a kind that can be checked, got `{kind}`. {suggest(kind, CHECKED)}"
        )
    if isinstance(component, str):
        cls = components.load(kind, component)
        args = components.all_args(kind, components.parse(kind, {"name": component, **args}, kind))
    else:
        cls = component
    contract = vars(contracts)[components.CONTRACTS[kind]]
    assert issubclass(cls, contract), f"{cls.__name__} must subclass models.contracts.{contract.__name__}"
    if kind == "loss":
        _check_loss(cls, args)
        return
    module = scrambled(_build(kind, cls, args))
    for height, width in ((7, 7), (5, 9), (1, 1)) if kind != "head" else ((1, 1),):
        x = inputs(module, 2, height, width)
        y = module.eval()(*x)
        wanted = out_shape(module, x[0])
        assert tuple(y.shape) == wanted, (
            f"a map of {height} x {width} must give {wanted}, got {tuple(y.shape)}"
        )
        assert y.isfinite().all(), f"a map of {height} x {width} gives values that are not finite"
    _check_gradients(module)
    _check_samples_alone(module)
    _check_copies(module, _build(kind, cls, args))


def _build(kind: str, cls: type[Contract], args: dict[str, Any]) -> Contract:
    wired: tuple[Any, ...] = (CHANNELS,)
    if kind == "fusion":
        wired = (CHANNELS, 2)
    if kind == "head":
        wired = (CHANNELS, LABELS, *((SETS,) if getattr(cls, "wants_label_sets", False) else ()))
    return cls(*wired, **args)


def scrambled(module: Contract) -> Contract:
    """The module with weights and statistics that make it no identity, as a fresh one may be."""
    torch.manual_seed(0)
    for parameter in module.parameters():
        nn.init.uniform_(parameter, 0.05, 0.3) if parameter.ndim < 2 else nn.init.normal_(parameter, 0, 0.2)
    for name, buffer in module.named_buffers():
        if name.endswith("running_mean"):
            buffer.uniform_(-0.2, 0.2)
        if name.endswith("running_var"):
            buffer.uniform_(0.5, 1.5)
    return module


def inputs(module: Contract, num: int, height: int = HEIGHT, width: int = WIDTH) -> list[Tensor]:
    """What the component gets for so many samples."""
    torch.manual_seed(1)
    if isinstance(module, Head):
        return [torch.randn(num, CHANNELS)]
    if isinstance(module, Fusion) or (isinstance(module, MapBlock) and module.binocular):
        return [torch.randn(num, 2, CHANNELS, height, width)]
    num_maps = 3 if isinstance(module, MapBlock) and module.image_flips else 1
    return [torch.randn(num, CHANNELS, height, width) for _ in range(num_maps)]


def out_shape(module: Contract, x: Tensor) -> tuple[int, ...]:
    """The shape that the contract promises."""
    if isinstance(module, Context):
        return (*x.shape[:-3], module.out_channels, *x.shape[-2:])
    if isinstance(module, MapBlock):
        return tuple(x.shape)
    if isinstance(module, Head):
        return (len(x), LABELS if module.label_sets is None else len(module.label_sets))
    assert isinstance(module, Fusion | Pooling)
    return (len(x), module.out_features if isinstance(module, Fusion) else CHANNELS)


def _check_gradients(module: Contract) -> None:
    x = [part.requires_grad_() for part in inputs(module, 4)]
    y = module.train()(*x)
    (y * torch.randn_like(y)).sum().backward()
    for part in x:
        assert part.grad is not None, "a gradient must reach the input"
        assert part.grad.isfinite().all(), "gradients must be finite"
        eyes = part.grad.flatten(0, 1) if part.ndim == 5 else part.grad
        reached = (eyes.flatten(1).abs().sum(1) > 0).all()
        assert reached, "a gradient must reach every sample and eye"
    unused = [name for name, p in module.named_parameters() if p.grad is None]
    assert not unused, f"a gradient must reach every parameter, got none for {', '.join(unused)}"


def _check_samples_alone(module: Contract) -> None:
    x = inputs(module.eval(), 5)
    with torch.no_grad():
        whole, alone = module(*x), module(*(part[2:3] for part in x))
    assert torch.allclose(alone, whole[2:3], rtol=1e-4, atol=1e-5), (
        "in evaluation a sample must give the same alone and in a batch"
    )


def _check_copies(module: Contract, other: Contract) -> None:
    other.load_state_dict(module.state_dict())
    x = inputs(module.eval(), 2)
    with torch.no_grad():
        y = module(*x)
        for what, same in (
            ("restored weights", other.eval()),
            ("a copy", copy.deepcopy(module)),
        ):
            assert torch.allclose(same(*x), y, rtol=1e-5, atol=1e-6), f"{what} must give the same"


def _check_loss(cls: type[Contract], args: dict[str, Any]) -> None:
    loss = cls(torch.tensor([0.5, 0.3, 0.2, 0.1]), **args)
    assert isinstance(loss, Loss)
    torch.manual_seed(0)
    one, two = [1.0, 0, 0, 0], [0, 1.0, 0, 0]
    for what, targets in (
        ("mixed samples", torch.tensor([one, two, one, [0, 0, 1.0, 0], two, [0, 0, 0, 1.0]])),
        ("samples of one class", torch.tensor([one] * 6)),
        ("samples that all differ", torch.eye(LABELS)),
        ("one sample", torch.tensor([one])),
    ):
        num = len(targets)
        logits, fused = (
            torch.randn(num, LABELS).requires_grad_(),
            torch.randn(num, 6).mul(0.2).requires_grad_(),
        )
        value = loss(Output(logits, fused, fused[:, None].expand(-1, 2, -1)), targets)
        assert value.shape == (), f"a loss must be a scalar, got the shape {tuple(value.shape)}"
        assert 0 <= value < float("inf"), f"{what} must give a finite loss of 0 or more, got {value.item()}"
        value.backward()
        for leaf in (logits, fused):
            assert leaf.grad is None or leaf.grad.isfinite().all(), f"{what} must give finite gradients"
        if what == "mixed samples":
            trained, other, name = logits, fused, "logits"
            if not loss.trains_head:
                trained, other, name = fused, logits, "embeddings"
            reached = trained.grad is not None and trained.grad.abs().sum() > 0
            assert reached, f"the loss must train the {name}, as its `trains_head` says"
            assert other.grad is None, f"the loss must train the {name} alone, as its `trains_head` says"
