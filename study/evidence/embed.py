"""From a network and batches to what is stored of every sample: its scores and its embedding."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int8
from torch import Tensor

from models.output import Output
from models.siamese import SiameseNet


@dataclass(frozen=True)
class EmbeddedSamples:
    """What a network gives for samples, in the order of the batches.

    Attributes:
        score: Probabilities of the network's own head, 0 to 1.
        embedding: Embeddings of the samples.
        target: Labels, -1 where unknown.
        output: The network's whole output on the CPU, for a loss.
    """

    score: Float[np.ndarray, "n l"]
    embedding: Float[np.ndarray, "n d"]
    target: Int8[np.ndarray, "n l"]
    output: Output


def with_eyes_exchanged(
    batches: Iterable[tuple[Tensor, ...]], *, aligned: bool
) -> Iterator[tuple[Tensor, ...]]:
    """The batches of the patients' mirror images: each eye mirrored and in the place of the other.

    Args:
        batches: Batches that start with images "b v 3 h w".
        aligned: Whether both eyes are turned the same way already, so that they only have to trade places.
    """
    for images, *others in batches:
        exchanged = images.flip(1)
        yield (exchanged if aligned else exchanged.flip(-1), *others)


def embed(
    net: SiameseNet,
    batches: Iterable[tuple[Tensor, ...]],
    device: torch.device,
    *,
    bfloat16: bool,
    from_features: bool = False,
) -> EmbeddedSamples:
    """Runs the network over the batches in evaluation mode and leaves it in the mode it had.

    Args:
        net: The network.
        batches: Unshuffled batches that start with images and targets.
        device: Device of the network.
        bfloat16: Whether the network runs in bfloat16.
        from_features: Whether the batches start with `SiameseNet.features` of the images instead.
    """
    forward = net.forward_features if from_features else net
    training = net.training
    net.eval()
    outputs: list[Output] = []
    targets = []
    with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16, enabled=bfloat16):
        for images, batch_targets, *_ in batches:
            outputs.append(forward(images).float().to(torch.device("cpu")))
            targets.append(batch_targets.cpu())
    net.train(training)
    output = Output.cat(outputs)
    return EmbeddedSamples(
        score=net.head.scores(output.logits).numpy(),
        embedding=output.fused.numpy(),
        target=torch.cat(targets).numpy().astype(np.int8),
        output=output,
    )
