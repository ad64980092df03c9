"""What a siamese network gives for a batch; losses, metrics and post-hoc classifiers read it."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor


class Output(NamedTuple):
    """What a forward pass gives.

    Attributes:
        logits: Raw output of the head, with one column for each label, or for each label set where the head
            has label sets.
        fused: Embedding of each sample; the head, metric losses and post-hoc classifiers see it.
        views: Pooled map of each image by itself, before the fusion.
        view_logits: Logits of each image by itself, where the network has a `view_head` or a late fusion.
    """

    logits: Float[Tensor, "b m"]
    fused: Float[Tensor, "b d"]
    views: Float[Tensor, "b v e"]
    view_logits: Float[Tensor, "b v m"] | None = None

    def float(self) -> "Output":
        """The same numbers in 32 bit, for losses and metrics."""
        return self._each(lambda part: part.float())

    def to(self, device: torch.device) -> "Output":
        """The same numbers on a device."""
        return self._each(lambda part: part.to(device))

    def _each(self, change: Callable[[Tensor], Tensor]) -> "Output":
        view_logits = None if self.view_logits is None else change(self.view_logits)
        return Output(change(self.logits), change(self.fused), change(self.views), view_logits)

    def per_eye(self, known: Bool[Tensor, "b v"]) -> "Output":
        """Each image as a sample of its own, for supervision of each eye; only images whose labels are known.

        Args:
            known: Whether the labels of each image are known.

        Raises:
            ValueError: The network gives no logits of each image.
        """
        if self.view_logits is None:
            raise ValueError(
                "`loss`: supervision of each eye needs a network with a `view_head` or the fusion `late`, "
                "got neither. Take the fusion `late`."
            )
        views = self.views[known]
        return Output(self.view_logits[known], views, views[:, None])

    @classmethod
    def cat(cls, outputs: Sequence["Output"]) -> "Output":
        """The samples of several batches of one network, one after the other."""
        of_views = [output.view_logits for output in outputs if output.view_logits is not None]
        return cls(
            torch.cat([output.logits for output in outputs]),
            torch.cat([output.fused for output in outputs]),
            torch.cat([output.views for output in outputs]),
            torch.cat(of_views) if of_views else None,
        )
