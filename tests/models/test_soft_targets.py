"""Whether losses and heads take labels between 0 and 1, as CutMix makes them, is what they declare."""

import pytest
import torch
from torch import Tensor

from models.contracts import Head, Loss
from models.output import Output
from study.spec import components
from tests.models.parts import build, label_sets_for

A = torch.tensor([[1.0, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 1], [1, 0, 0, 0], [0, 0, 1, 0]])
B = A[[1, 4, 0, 2, 3]]
MIXED = 0.3 * A + 0.7 * B


@pytest.mark.parametrize("name", components.names("loss"))
def test_a_loss_that_takes_soft_targets_is_linear_in_them(name: str) -> None:
    torch.manual_seed(0)
    loss = build("loss", {"name": name}, torch.tensor([0.4, 0.2, 0.2, 0.2]))
    assert isinstance(loss, Loss)
    output = Output(torch.randn(5, 4), torch.randn(5, 6), torch.randn(5, 2, 6))

    def value(targets: Tensor) -> Tensor:
        torch.manual_seed(1)
        found: Tensor = loss(output, targets)
        return found

    linear = torch.allclose(value(MIXED), 0.3 * value(A) + 0.7 * value(B), atol=1e-5)
    assert linear == loss.soft_targets


@pytest.mark.parametrize("name", components.names("head"))
def test_a_head_that_takes_soft_targets_encodes_them_linearly(name: str) -> None:
    head = build("head", {"name": name}, 6, 4, *label_sets_for(name, torch.unique(A, dim=0)))
    assert isinstance(head, Head)
    linear = torch.allclose(head.encode(MIXED), 0.3 * head.encode(A) + 0.7 * head.encode(B))
    assert linear == head.soft_targets
