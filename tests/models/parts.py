"""Helpers of the tests of `models`: components by name, readable test names, weights far from their start."""

from typing import TypeVar

import torch
from torch import Tensor, nn

from models.contracts import Contract
from study.spec import components

Spec = dict[str, object]
"""A component as a study file writes it: its name and its arguments."""

Module = TypeVar("Module", bound=nn.Module)


def label(case: object) -> str:
    """The name of a test's parameter: the values of a specification."""
    return "-".join(map(str, case.values())) if isinstance(case, dict) else str(case)


def specs_of(kind: str, variants: list[Spec]) -> list[Spec]:
    """Every component of a kind with its default arguments, then the variants."""
    defaults: list[Spec] = [{"name": name} for name in components.names(kind)]
    return defaults + variants


def build(kind: str, spec: Spec, *wired: object) -> Contract:
    """A component from its specification and its positional arguments."""
    module: Contract = components.build(kind, components.parse(kind, spec, kind), *wired)
    return module


def label_sets_for(name: object, label_sets: Tensor) -> tuple[Tensor, ...]:
    """The third argument of a head's constructor, for a head that has one."""
    return (label_sets,) if components.load("head", str(name)).wants_label_sets else ()


def scramble(module: Module, std: float = 0.3) -> Module:
    """The module in evaluation mode, with weights and batch-norm statistics far from their start."""
    torch.manual_seed(1)
    for parameter in module.parameters():
        nn.init.normal_(parameter, 0.1, std)
    for name, buffer in module.named_buffers():
        if name.endswith("running_mean"):
            buffer.normal_()
        if name.endswith("running_var"):
            buffer.uniform_(0.5, 2)
    return module.eval()


def conv_and_norm(unit: nn.Module) -> tuple[nn.Conv2d, nn.BatchNorm2d]:
    """The first two modules of a unit: its convolution and its batch norm."""
    conv, norm, *_ = unit.children()
    assert isinstance(conv, nn.Conv2d)
    assert isinstance(norm, nn.BatchNorm2d)
    return conv, norm
