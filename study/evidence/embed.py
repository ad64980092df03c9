"""From a network and batches to what is stored of every sample: its scores and its embedding."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int8
from torch import nn

from models.siamese import Output


@dataclass(frozen=True)
class Embedded:
    """All samples of a split, in the order of the batches.

    Attributes:
        score: probabilities of the network's own head, 0 to 1.
        fused: the samples' embeddings.
        targets: labels, -1 where unknown.
        output: the network's whole output on the CPU, for a loss.
    """

    score: Float[np.ndarray, "n l"]
    fused: Float[np.ndarray, "n d"]
    targets: Int8[np.ndarray, "n l"]
    output: Output


def exchanged(batches: Iterable[Any], aligned: bool) -> Iterator[Any]:
    """The batches as the patients' mirror images would give them: each eye mirrored, in the place of its fellow.

    Args:
        batches: start with images "b v 3 h w".
        aligned: both eyes face one way already, so that trading places is all that a mirror does.
    """
    for images, *rest in batches:
        yield (images.flip(1) if aligned else images.flip(1).flip(-1), *rest)


def embed(net: nn.Module, batches: Iterable[Any], device: torch.device, bfloat16: bool) -> Embedded:
    """Runs the network over the batches in evaluation mode and leaves it in the mode it had.

    Args:
        net: a `SiameseNet`.
        batches: unshuffled batches that start with (images, targets).
        device: where the network is.
        bfloat16: run the network in bfloat16.
    """
    training = net.training
    net.eval()
    outputs: list[Output] = []
    targets = []
    with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16, enabled=bfloat16):
        for images, batch_targets, *_ in batches:
            outputs.append(net(images).float().to(torch.device("cpu")))
            targets.append(batch_targets.cpu())
    net.train(training)
    whole = Output.cat(outputs)
    score = net.head.scores(whole.logits)  # type: ignore[operator, union-attr]
    return Embedded(score.numpy(), whole.fused.numpy(), torch.cat(targets).numpy().astype(np.int8), whole)
