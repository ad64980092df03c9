"""Networks compiled for training, once for all trials of one process that have the same network."""

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from models.output import Output

CODES = 64  # that a process keeps: two for a network, one of whole batches and one of a smaller last batch


class Compiled(nn.Module):
    """A network whose forward pass is compiled when it is first called.

    torch keeps what it compiled by the code and the shapes of a network, not by its weights, so that the next
    trial of the same network finds it. It keeps few by itself, which are too few for a search over networks.
    A process that has met more networks than it keeps runs further ones as they are.

    Attributes:
        net: The network, whose parameters these are.
    """

    def __init__(self, net: nn.Module, backend: str | Callable[..., Any] = "inductor") -> None:
        """Wraps a network.

        Args:
            net: The network on its device.
            backend: Name of a compiler of torch, or a compiler.
        """
        super().__init__()
        torch._dynamo.config.recompile_limit = CODES
        self.net = net
        self._run = torch.compile(net.forward, backend=backend)

    def forward(self, inputs: Float[Tensor, "b v *s"]) -> Output:
        """As the network's."""
        output: Output = self._run(inputs)
        return output
