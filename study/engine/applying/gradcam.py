"""Grad-CAM for networks with one image or two: which eye, and which region of it, speaks for a label.

Source: Selvaraju et al. 2017, Grad-CAM, arXiv 1610.02391, equations 1 and 2.
Differs: Every image has its own map and its own weights. They are taken at the last map of the backbone,
    before
the network joins the eyes, so that both maps of a pair have one scale and can be compared. The code is our
own, since the package pytorch-grad-cam knows one image and one backward pass for each sample; here one
backward pass for each label serves both eyes of all patients. A vision transformer needs nothing special:
its backbone gives the tokens of the patches as a map, and the rest of the network reads all of them.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from jaxtyping import Float
from torch import Tensor, nn

from models.output import Output
from models.siamese import SiameseNet

Evidence = Callable[[Output], Tensor]
"""What speaks for each label, "b l", as a number that can be differentiated."""


def grad_cam(
    net: SiameseNet, images: Float[Tensor, "b v 3 h w"], evidence: Evidence
) -> Float[Tensor, "b l v h2 w2"]:
    """max(0, Σ_c a_c·A_c), where a_c is the mean of ∂y/∂A_c over all positions.

    A is the last backbone map of an eye, with channels c; y is the evidence for a label.

    Args:
        net: The network in evaluation mode, so that no sample depends on the others of its batch.
        images: Normalised images.
        evidence: What is differentiated, one number for each sample and label.

    Returns:
        Maps of the size of the backbone's map. They are not scaled, so the sums of both eyes say which eye
        speaks for the label.
    """
    num_views = images.shape[1]
    with _own_leaf(net.backbone) as leaves:
        y = evidence(net(images))
    (maps,) = leaves
    cams = []
    for label in range(y.shape[1]):
        (slope,) = torch.autograd.grad(y[:, label].sum(), maps, retain_graph=label + 1 < y.shape[1])
        cam = (slope.mean((2, 3), keepdim=True) * maps).sum(1).detach()
        of_images = _with_flips_added(cam, len(images) * num_views)
        cams.append(torch.unflatten(of_images, 0, (-1, num_views)))
    return torch.stack(cams, 1).relu()


def evidence_of(net: SiameseNet) -> Evidence:
    """The logit of each label, or the log odds of the label where the head knows label sets.

    The log odds are log(p / (1 - p)), where p is the sum of the probabilities of all sets with the label.
    """
    sets = net.head.label_sets
    if sets is None:
        return lambda output: output.logits
    with_label = sets.T > 0  # "l m"

    def log_odds(output: Output) -> Tensor:
        logits = output.logits[:, None]
        has = logits.masked_fill(~with_label, -torch.inf).logsumexp(2)
        lacks = logits.masked_fill(with_label, -torch.inf).logsumexp(2)
        return has - lacks

    return log_odds


def nearest_mean(embedding: Float[Tensor, "n d"], targets: Float[Tensor, "n l"]) -> Evidence:
    """|z - m0|² - |z - m1|², for networks whose loss trains no head.

    z is the embedding of a sample, m1 the mean of the training samples with the label, m0 that of the others.

    Args:
        embedding: Embeddings of the training samples.
        targets: Their labels, 0 or 1.
    """
    mean_with, mean_without = _weighted_mean(embedding, targets), _weighted_mean(embedding, 1 - targets)

    def nearer(output: Output) -> Tensor:
        z = output.fused[:, None]
        return (z - mean_without).square().sum(2) - (z - mean_with).square().sum(2)

    return nearer


def _weighted_mean(embedding: Float[Tensor, "n d"], weights: Float[Tensor, "n l"]) -> Float[Tensor, "l d"]:
    """The mean embedding by each column of weights."""
    return weights.T @ embedding / weights.sum(0).clamp(min=1)[:, None]


@contextmanager
def _own_leaf(backbone: nn.Module) -> Iterator[list[Tensor]]:
    """Keeps the backbone's map as a leaf of the graph, since the gradient of the backbone is not needed.

    The rest of the network gets a copy, which it may change in place.
    """
    leaves: list[Tensor] = []

    def cut(module: nn.Module, args: tuple[Tensor, ...], output: Tensor) -> Tensor:
        leaf = output.detach().requires_grad_()
        leaves.append(leaf)
        return leaf.clone()

    handle = backbone.register_forward_hook(cut)
    try:
        with torch.enable_grad():
            yield leaves
    finally:
        handle.remove()


def _with_flips_added(cam: Float[Tensor, "m h w"], num_images: int) -> Float[Tensor, "n h w"]:
    """The maps of the images, with those of their flips (`SiameseNet.image_flips`) turned back and added."""
    if len(cam) == num_images:
        return cam
    plain, across, down = cam.chunk(3)
    return plain + across.flip(-1) + down.flip(-2)
