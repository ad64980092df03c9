"""One network for both images of a pair, and what it gives."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from models.poolings import global_average, pool_views


class Output(NamedTuple):
    """What a forward pass gives.

    Attributes:
        logits: the head's raw output; one column per label, or per label set for a head that says so.
        fused: the sample's embedding; what the head, metric losses and post-hoc classifiers see.
        views: each image's own pooled map, before the fusion.
        view_logits: logits of each image by itself, where the network has a `view_head` or fuses logits.
    """

    logits: Float[Tensor, "b m"]
    fused: Float[Tensor, "b d"]
    views: Float[Tensor, "b v e"]
    view_logits: Float[Tensor, "b v m"] | None = None

    def float(self) -> "Output":
        """In 32 bit, for losses and metrics."""
        return Output(*(None if part is None else part.float() for part in self))  # type: ignore[arg-type]

    def to(self, device: torch.device) -> "Output":
        """On a device."""
        return Output(*(None if part is None else part.to(device) for part in self))  # type: ignore[arg-type]

    def per_eye(self, known: Bool[Tensor, "b v"]) -> "Output":
        """Each image as a sample of its own, for supervision per eye; only those whose labels are known.

        Raises:
            ValueError: the network gives no logits per image.
        """
        if self.view_logits is None:
            raise ValueError(
                "`loss`: supervision per eye needs a network with a `view_head` or the fusion late, got neither."
            )
        views = self.views[known]
        return Output(self.view_logits[known], views, views[:, None])

    @classmethod
    def cat(cls, outputs: Sequence["Output"]) -> "Output":
        """The samples of several batches as one."""
        return cls(*(None if parts[0] is None else torch.cat(parts) for parts in zip(*outputs, strict=True)))  # type: ignore[arg-type]


class SiameseNet(nn.Module):
    """images -> backbone -> context -> attention -> fusion -> embedding -> head, with one set of weights for both eyes.

    All views go through the backbone in one batch. A context or attention may say with an attribute that it needs more
    than one map: `binocular` (it gets "b v c h w", both eyes of a pair) or `image_flips` (it gets three maps: of the
    image, of its left-right flip and of its upside-down flip, encoded in the same batch). A fusion with the attribute
    `late` combines the logits of the views instead of their features.
    """

    def __init__(
        self,
        backbone: nn.Module,
        context: nn.Module,
        attention: nn.Module,
        fusion: nn.Module,
        head: nn.Module,
        *,
        embedding_dim: int | None = None,
        l2norm: bool = False,
        pooling: nn.Module | None = None,
        view_head: nn.Module | None = None,
    ) -> None:
        """Puts the parts together.

        Args:
            backbone: "b 3 h w" -> "b c h' w'", attribute `out_channels`.
            context: map -> map, attribute `out_channels`.
            attention: map -> map of the same shape.
            fusion: "b v c h w" -> "b d", attribute `out_features`.
            head: "b d" -> logits; d is `embedding_dim` where it is given, else the fusion's `out_features`.
            embedding_dim: width of a linear layer between fusion and head; None leaves it out.
            l2norm: divides the embedding by its Euclidean length, so that distances lie in [0, 2].
            pooling: how a map becomes a vector; None averages.
            view_head: head for each image by itself, "b e" -> "b m", for supervision per eye.

        Raises:
            ValueError: context and attention both ask for flipped images.
        """
        super().__init__()
        if getattr(context, "image_flips", False) and getattr(attention, "image_flips", False):
            raise ValueError(
                "`attention`: only one of context and attention may encode flipped images. Set `flips: map` in one."
            )
        self.backbone, self.context, self.attention, self.fusion, self.head = (
            backbone,
            context,
            attention,
            fusion,
            head,
        )
        out_features: int = fusion.out_features  # type: ignore[assignment]  # nn.Module types every attribute as Tensor | Module
        self.embedding = nn.Linear(out_features, embedding_dim) if embedding_dim else nn.Identity()
        self.l2norm = l2norm
        self.pooling = pooling
        self.view_head = view_head
        self.image_flips = bool(
            getattr(context, "image_flips", False) or getattr(attention, "image_flips", False)
        )
        self.late = bool(getattr(fusion, "late", False))

    def forward(self, images: Float[Tensor, "b v c h w"]) -> Output:
        """Logits and embeddings of every sample.

        Args:
            images: normalised RGB images; v = 2 is a pair (left eye first), v = 1 a single image.

        Raises:
            ValueError: the images do not have three channels.
        """
        if images.shape[2] != 3:
            raise ValueError(
                f"`images`: must have 3 channels, got {images.shape[2]}. Repeat a grey one three times."
            )
        maps = self._maps(images)
        pool = self.pooling or global_average
        views = pool_views(maps, pool)
        if self.late:
            per_view = self._embed(views)
            view_logits = torch.unflatten(self.head(per_view.flatten(0, 1)), 0, views.shape[:2])
            logits: Tensor = self.fusion.combine(view_logits)  # type: ignore[operator]
            return Output(logits, self._unit(per_view.mean(1)), views, view_logits)
        fused = self._embed(self.fusion(maps, pool))
        per_eye = (
            None
            if self.view_head is None
            else torch.unflatten(self.view_head(views.flatten(0, 1)), 0, views.shape[:2])
        )
        return Output(self.head(fused), fused, views, per_eye)

    def _maps(self, images: Float[Tensor, "b v 3 h w"]) -> Float[Tensor, "b v c2 h2 w2"]:
        x = images.flatten(0, 1)
        if self.image_flips:
            x = torch.cat([x, x.flip(-1), x.flip(-2)])
        num_views = images.shape[1]
        x = self.backbone(x)
        x = _through(self.context, x, num_views)
        x = _through(self.attention, x, num_views)
        return torch.unflatten(x, 0, (-1, num_views))

    def _embed(self, x: Float[Tensor, "*b d"]) -> Float[Tensor, "*b e"]:
        return self._unit(self.embedding(x))

    def _unit(self, x: Float[Tensor, "*b d"]) -> Float[Tensor, "*b d"]:
        return F.normalize(x.float(), dim=-1) if self.l2norm else x


def _through(block: nn.Module, x: Float[Tensor, "n c h w"], num_views: int) -> Float[Tensor, "m c2 h2 w2"]:
    """Calls the block with what it asks for: one map, both eyes, or the map with those of the flipped images."""
    y: Tensor
    if getattr(block, "image_flips", False):
        y = block(*x.chunk(3))
    elif getattr(block, "binocular", False):
        y = block(torch.unflatten(x, 0, (-1, num_views))).flatten(0, 1)
    else:
        y = block(x)
    return y
