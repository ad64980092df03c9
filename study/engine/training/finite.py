"""Finds the step of a training at which the loss or its gradient is no longer a finite number."""

import math

import torch
from torch import Tensor

STEPS_OF_A_CHECK = {"cpu": 1, "cuda": 16}
"""Steps whose losses are read together, by kind of device: whoever reads a number waits for the GPU."""


class NonFiniteLoss(ArithmeticError):
    """The training loss is not a finite number, so the training cannot go on."""


class FiniteCheck:
    """Finds the first step of an epoch whose loss or gradient is not finite.

    Args:
        epoch: Number of the epoch, for the message.
        together: Steps whose numbers are read at a time.
    """

    def __init__(self, epoch: int, together: int) -> None:
        self._epoch, self._together = epoch, together
        self._num_read = 0
        self._unread: list[tuple[Tensor, Tensor]] = []

    def note(self, loss: Tensor, norm: Tensor) -> None:
        """Takes the loss of the next step and the norm of its gradient.

        Raises:
            NonFiniteLoss: As in `read`.
        """
        self._unread.append((loss, norm))
        if len(self._unread) >= self._together:
            self.read()

    def read(self) -> None:
        """Reads what was noted.

        Raises:
            NonFiniteLoss: A number among it is not finite.
        """
        unread, self._unread = self._unread, []
        if not unread:
            return
        for loss, norm in torch.stack([torch.stack(step) for step in unread]).tolist():
            self._num_read += 1
            if not math.isfinite(loss + norm):
                where = f"in step {self._num_read} of epoch {self._epoch}"
                raise NonFiniteLoss(f"the loss was {loss:g} with a gradient of norm {norm:g} {where}")
