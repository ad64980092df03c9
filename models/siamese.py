"""One network for all images of a sample."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from models.attentions.none import NoAttention
from models.contexts.none import NoContext
from models.contracts import Attention, Backbone, Context, Fusion, Head, LateFusion, MapBlock, Pooling
from models.output import Output
from models.poolings import Pool, global_average, pool_views


class SiameseNet(nn.Module):
    """images -> backbone -> context -> attention -> fusion -> embedding -> head.

    Both eyes share one set of weights. All views go through the backbone in one batch. What each part does,
    and which maps it gets, stands in `models.contracts`.

    What the frozen parts of the backbone give for an image never changes, so it can be kept:
    `forward_features(features(images))` is `forward(images)` without the frozen parts in the second step.

    Attributes:
        image_flips: Whether the backbone encodes the flips of each image too, for the context or for the
            attention.
        keeps_vectors: Whether `features` are pooled already, since nothing is trained before the pooling and
            nothing else reads the maps.
        condenses: Whether `features` are less than the maps of the frozen parts: principal components of
            them, or vectors.
    """

    def __init__(
        self,
        backbone: Backbone,
        context: Context,
        attention: Attention,
        fusion: Fusion,
        head: Head,
        *,
        embedding_dim: int | None = None,
        l2norm: bool = False,
        pooling: Pooling | None = None,
        view_head: Head | None = None,
    ) -> None:
        """Puts the parts together.

        Args:
            backbone: Turns images into maps.
            context: Widens the field of view of the maps.
            attention: Weighs the maps.
            fusion: Turns the maps of all views into one vector. A late fusion joins the logits of the views
                instead.
            head: Turns the embedding into logits. Its input has `embedding_dim` features where that is given,
                and else as many as the fusion gives.
            embedding_dim: Width of a linear layer between fusion and head; None leaves the layer out.
            l2norm: Divide the embedding by its Euclidean length, so that distances lie in [0, 2].
            pooling: Turns a map into a vector; None averages.
            view_head: Head for each image by itself, "b e" -> "b m", for supervision of each eye.

        Raises:
            ValueError: Context and attention both need flipped images, or the pooling drops negative values
                and nothing stands between it and principal components, half of whose values are negative.
        """
        super().__init__()
        if context.image_flips and attention.image_flips:
            raise ValueError(
                "`attention`: must not need flipped images where the context does, got both. "
                "Set `flips: map` in one of them."
            )
        self.backbone = backbone
        self.context = context
        self.attention = attention
        self.fusion = fusion
        self.head = head
        self.embedding = nn.Linear(fusion.out_features, embedding_dim) if embedding_dim else nn.Identity()
        self.l2norm = l2norm
        self.pooling = pooling
        self.view_head = view_head
        self.image_flips = context.image_flips or attention.image_flips
        pools_fixed = pooling is None or not list(pooling.parameters())
        passed_on = isinstance(context, NoContext) and isinstance(attention, NoAttention)
        reduced = backbone.components is not None
        if reduced and isinstance(context, NoContext) and pooling is not None and pooling.drops_negative:
            raise ValueError(
                "`pooling`: must keep negative values, since half of the values of principal components are "
                f"negative, got {type(pooling).__name__.lower()}, which takes them for 0. "
                "Set `pooling: average`, or leave `backbone.reduce` out."
            )
        whole_backbone = len(backbone.later_parts) == int(reduced)
        self.keeps_vectors = whole_backbone and passed_on and pools_fixed and fusion.pools_first
        self.condenses = self.keeps_vectors or (whole_backbone and reduced)

    def forward(self, images: Float[Tensor, "b v c h w"]) -> Output:
        """Logits and embeddings of every sample.

        Args:
            images: Normalised RGB images. A pair has v = 2 with the left eye first, a single image has v = 1.

        Raises:
            ValueError: The images do not have three channels.
        """
        if images.shape[2] != 3:
            raise ValueError(
                f"`images`: must have 3 channels, got {images.shape[2]}. Repeat a grey one three times."
            )
        maps = self.backbone(self._with_flips(images))
        return self._behind_backbone(maps, images.shape[1], self._pool)

    def features(self, images: Float[Tensor, "b v 3 h w"]) -> Float[Tensor, "b v f *s"]:
        """What all that is fixed in the network gives for each image, in evaluation mode.

        Args:
            images: As in `forward`.

        Returns:
            Maps (tokens, inside a transformer) of the image, and of its flips where `image_flips` wants them,
            so that f is 1 or 3; principal components of them, or vectors, where `condenses`.
        """
        return self.condense(self.frozen_maps(images))

    def frozen_maps(self, images: Float[Tensor, "b v 3 h w"]) -> Float[Tensor, "b v f *s"]:
        """What the frozen parts of the backbone give for each image."""
        x = self._with_flips(images)
        for part in self.backbone.frozen_parts:
            x = part(x)
        return _of_samples(x, images.shape[0], images.shape[1])

    def condense(self, maps: Float[Tensor, "b v f *s"]) -> Float[Tensor, "b v f *t"]:
        """`features` from the maps of the frozen parts."""
        if not self.condenses:
            return maps
        x = maps.movedim(2, 0).flatten(0, 2)
        if self.backbone.components is not None:
            x = self.backbone.components(x)
        if self.keeps_vectors:
            x = self._pool(x)
        return _of_samples(x, maps.shape[0], maps.shape[1])

    def forward_features(self, features: Float[Tensor, "b v f *s"]) -> Output:
        """What `forward` gives for the images of these features."""
        num_views = features.shape[1]
        x = features.movedim(2, 0).flatten(0, 2)
        if self.keeps_vectors:
            return self._behind_backbone(x[:, :, None, None], num_views, _only_position)
        for part in () if self.condenses else self.backbone.later_parts:
            x = part(x)
        return self._behind_backbone(x, num_views, self._pool)

    @property
    def _pool(self) -> Pool:
        return self.pooling or global_average

    def _with_flips(self, images: Float[Tensor, "b v 3 h w"]) -> Float[Tensor, "n 3 h w"]:
        x = images.flatten(0, 1)
        return torch.cat([x, x.flip(-1), x.flip(-2)]) if self.image_flips else x

    def _behind_backbone(self, x: Float[Tensor, "n c h w"], num_views: int, pool: Pool) -> Output:
        x = _through(self.context, x, num_views)
        x = _through(self.attention, x, num_views)
        maps = torch.unflatten(x, 0, (-1, num_views))
        views = pool_views(maps, pool)
        if isinstance(self.fusion, LateFusion):
            embedded = self._embed(views)
            view_logits = _of_each_view(self.head, embedded)
            return Output(self.fusion.combine(view_logits), self._unit(embedded.mean(1)), views, view_logits)
        fused = self._embed(self.fusion(maps, pool))
        own_logits = None if self.view_head is None else _of_each_view(self.view_head, views)
        return Output(self.head(fused), fused, views, own_logits)

    def _embed(self, x: Float[Tensor, "*b d"]) -> Float[Tensor, "*b e"]:
        return self._unit(self.embedding(x))

    def _unit(self, x: Float[Tensor, "*b d"]) -> Float[Tensor, "*b d"]:
        return F.normalize(x.float(), dim=-1) if self.l2norm else x


class FromFeatures(nn.Module):
    """A network as it is trained on the features of images.

    Attributes:
        net: The network, whose parameters these are.
    """

    def __init__(self, net: SiameseNet) -> None:
        super().__init__()
        self.net = net

    def forward(self, features: Float[Tensor, "b v f *s"]) -> Output:
        """As `SiameseNet.forward_features`."""
        return self.net.forward_features(features)


def _of_samples(
    x: Float[Tensor, "n c *places"], num_samples: int, num_views: int
) -> Float[Tensor, "b v f c *places"]:
    """Takes apart a batch of all views, and of their flips behind them, by sample, view and flip."""
    return torch.unflatten(x, 0, (-1, num_samples, num_views)).movedim(0, 2)


def _only_position(maps: Float[Tensor, "n c 1 1"]) -> Float[Tensor, "n c"]:
    """The vector of each map that is pooled already."""
    return maps.flatten(1)


def _of_each_view(head: Head, views: Float[Tensor, "b v e"]) -> Float[Tensor, "b v m"]:
    """The head's logits of each view by itself."""
    return torch.unflatten(head(views.flatten(0, 1)), 0, views.shape[:2])


def _through(block: MapBlock, x: Float[Tensor, "n c h w"], num_views: int) -> Float[Tensor, "m c2 h2 w2"]:
    """Calls the block with what it needs: one map, both eyes, or the map with those of the flipped images."""
    y: Tensor
    if block.image_flips:
        y = block(*torch.unflatten(x, 0, (3, -1)))
    elif block.binocular:
        y = block(torch.unflatten(x, 0, (-1, num_views))).flatten(0, 1)
    else:
        y = block(x)
    return y
