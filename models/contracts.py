"""What each kind of component offers: one abstract class for each kind, its contract.

The data flow of `models.siamese.SiameseNet`, in the shape letters of the package `models`:

    images "b v 3 h w", of all views in one batch
      -> Backbone    a map of each image                                        "n c h w"
      -> Context     the map with a wider field of view                         "n c2 h w"
      -> Attention   the same map with other weights                            "n c2 h w"
      -> Fusion      one vector for the maps of all views; a Pooling helps it   "b d"
      -> Head        logits                                                     "b m"
      -> Loss        a scalar, from the `Output` of all this and from targets   "b l"

A Generator stands apart: it makes images of one class before the training of the network.

A component is a class that subclasses one contract and nothing else. A component that needs another component
holds it as a part. What is true of every instance of a component is a class attribute, declared here as
`ClassVar`. What the arguments decide is given to the constructor of the contract. A component that leaves out
a declaration or a method, or that declares what its contract does not know, is refused when its file is
imported.

Positional arguments of a component's constructor come from the platform, as each contract says ("Built
with"); keyword-only arguments come from the study file.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import ClassVar, Literal

from jaxtyping import Float
from torch import Tensor, nn

from models._breaches import breaches
from models.output import Output
from models.poolings import Pool, global_average


class Contract(nn.Module, ABC):
    """What all contracts have in common: a component that does not keep its contract cannot be imported."""

    def __init_subclass__(cls) -> None:
        """Checks a component; the contracts of this file are left alone.

        Raises:
            TypeError: The component does not keep its contract.
        """
        super().__init_subclass__()
        if cls.__module__ != __name__ and (found := list(breaches(cls, __name__))):
            raise TypeError("\n".join(f"`{cls.__module__}.{cls.__name__}`: {breach}" for breach in found))


class MapBlock(Contract):
    """What contexts and attentions have in common: they turn a map into a map.

    Built with `(channels)`, the channels of the map.

    Attributes:
        binocular: Whether the block needs both eyes of a pair; then it gets and gives "b v c h w".
        image_flips: Whether the block needs the maps of flipped images too. Then it gets three maps, of the
            image, of its left-right flip and of its upside-down flip, which the network encodes in the same
            batch.
    """

    binocular: ClassVar[bool] = False
    image_flips: bool

    def __init__(self, *, image_flips: bool = False) -> None:
        super().__init__()
        self.image_flips = image_flips


class Context(MapBlock):
    """Widens the field of view of a map of any size of at least 1x1.

    Attributes:
        out_channels: Channels of the map that comes out.
    """

    out_channels: int

    def __init__(self, *, out_channels: int, image_flips: bool = False) -> None:
        super().__init__(image_flips=image_flips)
        self.out_channels = out_channels

    @abstractmethod
    def forward(self, x: Float[Tensor, "*n c h w"]) -> Float[Tensor, "*n c2 h w"]:
        """The widened map."""


class Attention(MapBlock):
    """Weighs the positions or channels of a map; shape and size stay."""

    @abstractmethod
    def forward(self, x: Float[Tensor, "*n c h w"]) -> Float[Tensor, "*n c h w"]:
        """The weighed map."""


class Backbone(Contract):
    """An image network up to its last map, cut into stages; `models.backbones.build_backbone` builds it.

    Attributes:
        net: The network inside, "n 3 h w" -> "n c h w". Its modules are registered in the order in which they
            are used.
        stages: Name, inside `net`, of the last module of each stage.
        components: A 1x1 convolution of the map of `net`, which holds its principal components, or has grown
            out of them where the network is trained; None where the map stays as it is.
        out_channels: Channels of the last map.
    """

    net: nn.Module
    stages: tuple[str, ...]
    components: nn.Conv2d | None
    out_channels: int

    @abstractmethod
    def forward(self, x: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n c h2 w2"]:
        """The last map of each image."""

    @abstractmethod
    def freeze(self, what: Literal["none", "all"] | int) -> "Backbone":
        """Takes the gradient from nothing, from everything, or from the first `what` stages."""

    @abstractmethod
    def reduce(self, num: int) -> "Backbone":
        """Leaves room for `num` principal components of the map, whose weights are to be given."""

    @abstractmethod
    def attend(
        self,
        attention: Callable[[int], Attention],
        where: Literal["input", "every_stage", "last_block", "every_block"],
    ) -> "Backbone":
        """Puts attentions inside the network."""

    @abstractmethod
    def depths(self) -> dict[str, int]:
        """Depth of each parameter from the output, at least 1."""

    @property
    @abstractmethod
    def frozen_parts(self) -> Sequence[nn.Module]:
        """The leading parts that training leaves as they are; what they give for an image never changes."""

    @property
    @abstractmethod
    def later_parts(self) -> Sequence[nn.Module]:
        """The parts behind them; called one after the other, all parts give the last map."""


class Pooling(Contract):
    """Turns a map into a vector. Built with `(channels)`, the channels of the map.

    Attributes:
        drops_negative: Whether negative values count as 0.
    """

    drops_negative: ClassVar[bool] = False

    @abstractmethod
    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c"]:
        """The vector of each map; a fusion may give it maps with another number of channels."""


class Fusion(Contract):
    """Turns the maps of all views into one vector.

    Built with `(channels, num_views)`, the channels of each map and the number of views. A fusion that
    compares two eyes raises ValueError for another number of views.

    Attributes:
        out_features: Length of the vector.
        symmetric: Whether the vector stays the same when the eyes are exchanged.
        pools_first: Whether the fusion reads nothing of a view's map but the vector that `pool` makes of it.
    """

    out_features: int
    symmetric: bool
    pools_first: bool

    def __init__(self, *, out_features: int, symmetric: bool, pools_first: bool = False) -> None:
        super().__init__()
        self.out_features = out_features
        self.symmetric = symmetric
        self.pools_first = pools_first

    @abstractmethod
    def forward(self, maps: Float[Tensor, "b v c h w"], pool: Pool = global_average) -> Float[Tensor, "b d"]:
        """The vector of each sample; `pool` turns a map into a vector."""


class LateFusion(Fusion):
    """A fusion of decisions: the head judges each view by itself, and the fusion joins the logits."""

    @abstractmethod
    def combine(self, logits: Float[Tensor, "b v m"]) -> Float[Tensor, "b m"]:
        """The logits of each sample from those of its views."""


class Head(Contract):
    """Turns the embedding into logits, and logits into probabilities.

    Built with `(in_features, num_labels)`, the length of the embedding and the number of labels. A head that
    wants label sets is built with a third argument, the distinct rows of labels in the training split, "m l"
    with m sets.

    Attributes:
        exclusive: Whether each row of `encode` has exactly one 1. A loss whose `exclusive` is not None must
            agree.
        multilabel_data: Whether samples may have several labels.
        soft_targets: Whether `encode` takes labels between 0 and 1.
        wants_label_sets: Whether the head is built with the label sets.
    """

    exclusive: ClassVar[bool]
    multilabel_data: ClassVar[bool]
    soft_targets: ClassVar[bool] = True
    wants_label_sets: ClassVar[bool] = False

    @property
    def label_sets(self) -> Float[Tensor, "m l"] | None:
        """The label sets that the head was built with; None for a head that does not want them."""
        return None

    @abstractmethod
    def forward(self, x: Float[Tensor, "n d"]) -> Float[Tensor, "n m"]:
        """The logits of each embedding."""

    @abstractmethod
    def scores(self, logits: Float[Tensor, "n m"]) -> Float[Tensor, "n l"]:
        """The probability of each label."""

    @abstractmethod
    def encode(self, targets: Float[Tensor, "n l"]) -> Float[Tensor, "n m"]:
        """The targets that a loss compares with the logits."""


class Loss(Contract):
    """Compares an `Output` with targets.

    Built with `(prevalence)`, "l": the share of training samples with each label, as the head encodes them.

    Attributes:
        trains_head: Whether the loss reads the logits. A loss that does not reads the embedding alone, and
            its targets are the labels themselves, not what the head makes of them.
        exclusive: True for a loss that needs exactly one 1 in each row of targets, False for one that decides
            label by label, None for one that takes both.
        soft_targets: Whether the loss is linear in its targets, so that mixed labels give the mix of the
            labels' losses.
    """

    trains_head: ClassVar[bool]
    exclusive: ClassVar[bool | None]
    soft_targets: ClassVar[bool] = False

    @abstractmethod
    def forward(self, output: Output, targets: Float[Tensor, "b l"]) -> Float[Tensor, ""]:
        """The loss of the batch."""


class Generator(Contract):
    """Makes images of one class from noise. Built with keyword arguments alone.

    Attributes:
        image_px: Side, in pixels, of the images that it makes and is trained on.
    """

    image_px: ClassVar[int]

    @abstractmethod
    def train_on(
        self, images: Float[Tensor, "n 3 h w"], *, epochs: int, seed: int = 0
    ) -> Iterator[tuple[float, ...]]:
        """Trains on images in [-1, 1] and yields the losses after each epoch."""

    @abstractmethod
    def sample(self, num: int, image_px: int, seed: int) -> Float[Tensor, "n 3 h w"]:
        """Images in [-1, 1], resized to `image_px`; the same for the same arguments."""
