"""The backbone of any network: the network without its classifier, cut into stages that can be frozen."""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from itertools import takewhile
from typing import Literal

from jaxtyping import Float
from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock, Bottleneck

from models.backbones._taken import TakenWeights
from models.contracts import Attention, Backbone


class StagedBackbone(Backbone):
    """An image network up to its last map.

    Frozen parts take no gradient and stay in evaluation mode after `train()` too, so that their batch-norm
    statistics do not move.

    Attributes:
        stage_channels: Channels of the map after each stage; empty where a stage leaves no map (tokens of a
            transformer).
        taken: What became of the tensors of a file of weights; None where there is no such file.
    """

    def __init__(
        self, net: nn.Module, out_channels: int, stages: Sequence[str], stage_channels: Sequence[int] = ()
    ) -> None:
        """Wraps a network.

        Args:
            net: Network "n 3 h w" -> "n c h w". Its modules are registered in the order in which they are
                used.
            out_channels: Channels of the map that `net` gives.
            stages: Name, inside `net`, of the last module of each stage.
            stage_channels: Channels after each stage; needs a `net` that is a Sequential with one child for
                each stage.
        """
        super().__init__()
        self.net = net
        self.out_channels = out_channels
        self.stages = tuple(stages)
        self.stage_channels = tuple(stage_channels)
        self.components: nn.Conv2d | None = None
        self.taken: TakenWeights | None = None
        self._frozen: tuple[nn.Module, ...] = ()
        self._frozen_parts: tuple[nn.Module, ...] | None = None  # found when they are first asked for

    def shared(self) -> "StagedBackbone":
        """Another backbone around the same network, frozen whole and without components."""
        backbone = StagedBackbone(self.net, self.out_channels, self.stages, self.stage_channels)
        backbone.taken = self.taken
        return backbone.freeze("all")

    def forward(self, x: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b c h2 w2"]:
        """The last map of each image."""
        y: Tensor = self.net(x)
        return y if self.components is None else self.components(y)

    def train(self, mode: bool = True) -> "StagedBackbone":
        """As in torch, but frozen parts stay in evaluation mode.

        Only what changes is written, and frozen parts are passed over: torch takes a while to walk through
        a network and to set an attribute, and a frozen network has hundreds of modules.
        """
        frozen = set(map(id, self._frozen))
        for _, module in self.named_modules(memo=set(self.frozen_parts)):
            wanted = mode and id(module) not in frozen
            if module.training != wanted:
                module.training = wanted
        return self

    def freeze(self, what: Literal["none", "all"] | int) -> "StagedBackbone":
        """Freezes nothing, everything, or the first `what` stages.

        Raises:
            ValueError: The backbone has fewer stages.
        """
        if what in ("none", 0):
            return self
        num = len(self.stages) if what == "all" else int(what)
        if not 0 <= num <= len(self.stages):
            raise ValueError(
                f"`backbone.freeze`: must be none, all, or up to {len(self.stages)} leading stages, "
                f"got {what}."
            )
        named = list(self.net.named_modules())
        end = len(named) if what == "all" else self._ends()[num - 1]
        later = [name for name, _ in named[end:]]
        for _, module in named[:end]:
            for parameter in module.parameters(recurse=False):
                parameter.requires_grad = False
        # a container that holds later stages too keeps its mode: only what lies wholly inside is switched
        self._frozen = tuple(module for name, module in named[:end] if not _holds_any(name, later))
        for module in self._frozen:
            if module.training:
                module.training = False
        self._frozen_parts = None
        return self

    def _ends(self) -> list[int]:
        """How many of the named modules, in their order, lie before the end of each stage.

        Raises:
            ValueError: The network has no module of a stage's name.
        """
        names = [name for name, _ in self.net.named_modules()]
        ends = []
        for stage in self.stages:
            inside = [i for i, name in enumerate(names) if name == stage or name.startswith(f"{stage}.")]
            if not inside:
                raise ValueError(
                    "`backbone`: leading stages and layer_decay need a network with named stages. "
                    "Take freeze: none or all."
                )
            ends.append(inside[-1] + 1)
        return ends

    def depths(self) -> dict[str, int]:
        """Depth of each parameter from the output.

        It is 1 in the last stage and after it, and one more in each stage before. What stands before the
        first stage, as the patches and positions of a transformer, counts as part of it.

        Raises:
            ValueError: The network has no named stages.
        """
        ends = self._ends()
        found = {}
        for i, (module, part) in enumerate(self.net.named_modules()):
            depth = max(1, sum(i < end for end in ends))
            for name, _ in part.named_parameters(recurse=False):
                found[".".join(filter(None, ("net", module, name)))] = depth
        return found

    @property
    def frozen_parts(self) -> Sequence[nn.Module]:
        """The leading children of a Sequential, or the whole network, that are frozen with all inside.

        An attention that `attend` put into a frozen stage is trained, so that the stage does not count.
        """
        if self._frozen_parts is None:
            frozen = set(self._frozen)
            self._frozen_parts = tuple(
                takewhile(lambda part: frozen.issuperset(part.modules()), self._parts())
            )
        return self._frozen_parts

    @property
    def later_parts(self) -> Sequence[nn.Module]:
        """The parts behind `frozen_parts`, and the components, which follow from the maps before them."""
        components = () if self.components is None else (self.components,)
        return (*self._parts()[len(self.frozen_parts) :], *components)

    def _parts(self) -> list[nn.Module]:
        return list(self.net.children()) if isinstance(self.net, nn.Sequential) else [self.net]

    def drop_last(self, num: int) -> "StagedBackbone":
        """Cuts off the last `num` stages.

        Raises:
            ValueError: The stages leave no maps, or none of them would remain.
        """
        if num == 0:
            return self
        if not isinstance(self.net, nn.Sequential) or not 0 < num < len(self.stage_channels):
            known = max(0, len(self.stage_channels) - 1)
            raise ValueError(
                f"`backbone.drop_stages`: must lie between 0 and {known} for this network, got {num}."
            )
        self.net = self.net[:-num]
        self.stages, self.stage_channels = self.stages[:-num], self.stage_channels[:-num]
        self.out_channels = self.stage_channels[-1]
        self._frozen_parts = None
        return self

    def reduce(self, num: int) -> "StagedBackbone":
        """Puts a 1x1 convolution behind the network; call it after `freeze` and `attend`.

        It is fixed behind a network that is frozen whole, and trained behind any other.

        Raises:
            ValueError: The map has too few channels.
        """
        if not 0 < num <= self.out_channels:
            raise ValueError(
                f"`backbone.reduce`: must lie between 1 and the {self.out_channels} channels of the map, "
                f"got {num}."
            )
        trained = len(self.later_parts) > 0
        self.components = nn.Conv2d(self.out_channels, num, 1).requires_grad_(requires_grad=trained)
        self.out_channels = num
        return self

    def attend(
        self,
        attention: Callable[[int], Attention],
        where: Literal["input", "every_stage", "last_block", "every_block"],
    ) -> "StagedBackbone":
        """Puts attentions inside the network.

        Call it after `freeze`: an attention stays trainable in a frozen stage.

        Args:
            attention: Makes an attention for a number of channels.
            where: On the image itself; after each stage; or at the end of the residual branch of the last
                block or of each block, before the addition.

        Raises:
            ValueError: The network has no such place, or the attention needs more than one map.
        """
        if where == "input":
            made = self._attend_input(attention)
        elif where == "every_stage":
            made = self._attend_stages(attention)
        else:
            made = self._attend_blocks(attention, where)
        if any(one.binocular or one.image_flips for one in made):
            raise ValueError(
                f"`model.attention_at`: {where} needs an attention that works on one map, "
                "got one that needs more. Use last for this attention."
            )
        self._frozen_parts = None
        return self

    def _attend_input(self, attention: Callable[[int], Attention]) -> list[Attention]:
        made = attention(3)
        self.net = nn.Sequential(OrderedDict(input=made, net=self.net))
        self.stages = tuple(f"net.{stage}" for stage in self.stages)
        return [made]

    def _attend_stages(self, attention: Callable[[int], Attention]) -> list[Attention]:
        if not isinstance(self.net, nn.Sequential) or not self.stage_channels:
            raise ValueError(
                "`model.attention_at`: every_stage needs a network whose stages leave maps. "
                "Use a convolutional network."
            )
        made = [attention(channels) for channels in self.stage_channels]
        self.net = nn.Sequential(*(nn.Sequential(*pair) for pair in zip(self.net, made, strict=True)))
        self.stages = tuple(str(i) for i in range(len(made)))
        return made

    def _attend_blocks(
        self, attention: Callable[[int], Attention], where: Literal["last_block", "every_block"]
    ) -> list[Attention]:
        blocks = [module for module in self.net.modules() if isinstance(module, BasicBlock | Bottleneck)]
        if not blocks:
            raise ValueError(
                f"`model.attention_at`: {where} needs a residual network of torchvision. "
                "Use last or every_stage."
            )
        made = []
        for block in blocks[-1:] if where == "last_block" else blocks:
            last = "bn3" if isinstance(block, Bottleneck) else "bn2"
            norm: nn.BatchNorm2d = getattr(block, last)
            made.append(attention(norm.num_features))
            setattr(block, last, nn.Sequential(norm, made[-1]))
        return made


def _holds_any(container: str, names: Sequence[str]) -> bool:
    """Whether one of the named modules lies inside the container; the empty name is the whole network."""
    return any(container == "" or name.startswith(f"{container}.") for name in names)
