"""A loss that says so gives for mixed labels the mix of its values, as CutMix wants; the others and the heads say what is true."""

import pytest
import torch
from torch import Tensor, nn

from models.siamese import Output
from study.spec import components

A = torch.tensor([[1.0, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 1], [1, 0, 0, 0], [0, 0, 1, 0]])
B = A[[1, 4, 0, 2, 3]]


def build(kind: str, name: str, *wired: object) -> nn.Module:
    module: nn.Module = components.build(kind, components.parse(kind, name, kind), *wired)
    return module


@pytest.mark.parametrize("name", components.names("loss"))
def test_a_loss_that_takes_shares_is_linear_in_its_targets(name: str) -> None:
    torch.manual_seed(0)
    loss = build("loss", name, torch.tensor([0.4, 0.2, 0.2, 0.2]))
    output = Output(torch.randn(5, 4), torch.randn(5, 6), torch.randn(5, 2, 6))

    def value(targets: Tensor) -> Tensor:
        torch.manual_seed(1)
        found: Tensor = loss(output, targets)
        return found

    linear = torch.allclose(value(0.3 * A + 0.7 * B), 0.3 * value(A) + 0.7 * value(B), atol=1e-5)
    assert linear == getattr(loss, "soft_targets", False)


@pytest.mark.parametrize("name", components.names("head"))
def test_a_head_that_takes_shares_encodes_them_as_they_are(name: str) -> None:
    cls = components.load("head", name)
    head = build(
        "head", name, 6, 4, *((torch.unique(A, dim=0),) if getattr(cls, "wants_label_sets", False) else ())
    )
    encode = head.encode
    linear = torch.allclose(encode(0.3 * A + 0.7 * B), 0.3 * encode(A) + 0.7 * encode(B))  # type: ignore[operator]
    assert linear == getattr(cls, "soft_targets", True)
