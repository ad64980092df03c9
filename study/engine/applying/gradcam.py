"""Grad-CAM for networks with one image or two: which eye, and which region of it, speaks for a label.

Source: Selvaraju et al. 2017, Grad-CAM, arXiv 1610.02391, equations 1 and 2.
Differs: every image has its own map and its own weights, taken where the eyes have not yet met (the backbone's last map), so
that both maps of a pair have one scale and can be compared. Own code, since the package pytorch-grad-cam knows one image a
sample and one backward pass a sample; here one backward pass a label serves both eyes of all patients. A vision transformer
needs nothing special: its backbone gives the patches' tokens as a map, and what follows reads all of them.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from jaxtyping import Float
from torch import Tensor, nn

from models.heads.powerset import Powerset
from models.siamese import Output, SiameseNet

Evidence = Callable[[Output], Tensor]  # (b m) or (b d) -> "b l", what speaks for each label


def grad_cam(
    net: SiameseNet, images: Float[Tensor, "b v 3 h w"], evidence: Evidence
) -> Float[Tensor, "b l v h2 w2"]:
    """max(0, Σ_c a_c·A_c), a_c = mean over positions of ∂y/∂A_c; A the last backbone map of an eye, y the evidence for a label.

    Args:
        net: in evaluation mode, so that no sample sees another one of its batch.
        images: normalised.
        evidence: what is differentiated, one number a sample and label.

    Returns:
        At the size of the backbone's map; not scaled, so the sums of both eyes say which one speaks for the label.
    """
    num_views = images.shape[1]
    with _own_leaf(net.backbone) as seen:
        y = evidence(net(images))
    (maps,) = seen
    cams = []
    for label in range(y.shape[1]):
        (slope,) = torch.autograd.grad(y[:, label].sum(), maps, retain_graph=label + 1 < y.shape[1])
        cam = (slope.mean((2, 3), keepdim=True) * maps).sum(1).detach()
        cams.append(torch.unflatten(_turned_back(cam, len(images) * num_views), 0, (-1, num_views)))
    return torch.stack(cams, 1).relu()


def evidence_of(net: SiameseNet) -> Evidence:
    """The logit of each label; for label sets log(p / (1 - p)) of the label's probability p, summed over the sets that hold it."""
    head = net.head
    if isinstance(head, Powerset):
        holds = head.sets.T > 0  # "l m"

        def log_odds(output: Output) -> Tensor:
            logits = output.logits[:, None]
            there, not_there = (
                logits.masked_fill(~chosen, -torch.inf).logsumexp(2) for chosen in (holds, ~holds)
            )
            return there - not_there

        return log_odds
    return lambda output: output.logits


def nearest_mean(embedding: Float[Tensor, "n d"], targets: Float[Tensor, "n l"]) -> Evidence:
    """|z - m0|² - |z - m1|² for networks whose loss trains no head: is z nearer to the mean of those with the label than of the others?

    Args:
        embedding: of the training samples.
        targets: their labels, 0 or 1.
    """
    with_label, without = (
        weight.T @ embedding / weight.sum(0).clamp(min=1)[:, None] for weight in (targets, 1 - targets)
    )

    def nearer(output: Output) -> Tensor:
        z = output.fused[:, None]
        return (z - without).square().sum(2) - (z - with_label).square().sum(2)

    return nearer


@contextmanager
def _own_leaf(backbone: nn.Module) -> Iterator[list[Tensor]]:
    """Cuts the graph behind the backbone, whose gradient nobody needs, and keeps its map; what follows may change its copy in place."""
    seen: list[Tensor] = []

    def cut(module: nn.Module, args: tuple[Tensor, ...], output: Tensor) -> Tensor:
        seen.append(output.detach().requires_grad_())
        return seen[-1].clone()

    handle = backbone.register_forward_hook(cut)
    try:
        with torch.enable_grad():
            yield seen
    finally:
        handle.remove()


def _turned_back(cam: Float[Tensor, "m h w"], num_images: int) -> Float[Tensor, "n h w"]:
    """Adds what the flipped images contribute, turned back, where the network encodes them too (`SiameseNet.image_flips`)."""
    if len(cam) == num_images:
        return cam
    plain, across, down = cam.chunk(3)
    return plain + across.flip(-1) + down.flip(-2)
