"""What every backbone is once it is built: a network without its classifier, cut into stages that can be frozen."""

from collections.abc import Callable, Sequence
from typing import Literal

from jaxtyping import Float
from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock, Bottleneck


class Backbone(nn.Module):
    """An image network up to its last map.

    Frozen parts take no gradient and stay in evaluation mode whatever `train()` says, so their batch-norm statistics
    do not move.

    Attributes:
        out_channels: channels of the last map.
        stage_channels: channels of the map after each stage; empty where a stage leaves no map (tokens of a transformer).
    """

    def __init__(
        self, net: nn.Module, out_channels: int, stages: Sequence[str], stage_channels: Sequence[int] = ()
    ) -> None:
        """Wraps a network.

        Args:
            net: "b 3 h w" -> "b c h w"; its modules are registered in the order in which they are used.
            out_channels: channels of the map that `net` gives.
            stages: name, inside `net`, of the last module of each stage.
            stage_channels: channels after each stage; needs a `net` that is a Sequential with one child per stage.
        """
        super().__init__()
        self.net = net
        self.out_channels = out_channels
        self.stages = tuple(stages)
        self.stage_channels = tuple(stage_channels)
        self._frozen: tuple[nn.Module, ...] = ()

    def forward(self, x: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b c h2 w2"]:
        """The last map of each image."""
        y: Tensor = self.net(x)
        return y

    def train(self, mode: bool = True) -> "Backbone":
        """As in torch, but frozen parts stay in evaluation mode."""
        super().train(mode)
        for module in self._frozen:
            module.training = False
        return self

    def freeze(self, what: Literal["none", "all"] | int) -> "Backbone":
        """Fixes nothing, everything, or the first `what` stages.

        Raises:
            ValueError: the backbone has fewer stages.
        """
        if what in ("none", 0):
            return self
        num = len(self.stages) if what == "all" else int(what)
        if not 0 <= num <= len(self.stages):
            raise ValueError(
                f"`backbone.freeze`: must be none, all, or up to {len(self.stages)} leading stages, got {what}."
            )
        named = list(self.net.named_modules())
        end = self._ends()[num - 1] if what != "all" else len(named)
        later = [n for n, _ in named[end:]]
        for _, module in named[:end]:
            for parameter in module.parameters(recurse=False):
                parameter.requires_grad_(False)
        # a container that also holds later stages keeps its mode: only what lies wholly inside is switched
        self._frozen = tuple(
            m for n, m in named[:end] if not any(x.startswith(f"{n}.") or n == "" for x in later)
        )
        return self.train(self.training)

    def _ends(self) -> list[int]:
        """How many of the named modules, in their order, lie before the end of each stage.

        Raises:
            ValueError: the network has no module of a stage's name.
        """
        names = [name for name, _ in self.net.named_modules()]
        inside = [
            [i for i, n in enumerate(names) if n == stage or n.startswith(f"{stage}.")]
            for stage in self.stages
        ]
        if not all(inside):
            raise ValueError(
                "`backbone`: leading stages and layer_decay need a network with named stages. Take freeze: none or all."
            )
        return [found[-1] + 1 for found in inside]

    def depths(self) -> dict[str, int]:
        """Depth of each parameter from the output: 1 in the last stage and after it, one more in each stage before.

        What stands before the first stage, as a transformer's patches and positions, counts as part of it.

        Raises:
            ValueError: the network has no named stages.
        """
        ends = self._ends()
        return {
            ".".join(filter(None, ("net", module, name))): max(1, sum(i < end for end in ends))
            for i, (module, part) in enumerate(self.net.named_modules())
            for name, _ in part.named_parameters(recurse=False)
        }

    def drop_last(self, num: int) -> "Backbone":
        """Cuts off the last `num` stages.

        Raises:
            ValueError: the stages leave no maps, or fewer than one would remain.
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
        return self

    def attend(
        self,
        attention: Callable[[int], nn.Module],
        where: Literal["every_stage", "last_block", "every_block"],
    ) -> "Backbone":
        """Puts attentions inside the network; call it after `freeze`, for they stay trainable in frozen stages.

        Args:
            attention: makes an attention for a number of channels.
            where: after each stage; or at the end of the residual branch of the last or of each block, before the addition.

        Raises:
            ValueError: the network has no such place, or the attention needs more than one map.
        """
        if where == "every_stage":
            if not isinstance(self.net, nn.Sequential) or not self.stage_channels:
                raise ValueError(
                    "`model.attention_at`: every_stage needs a network whose stages leave maps. Use a convolutional one."
                )
            made = [attention(c) for c in self.stage_channels]
            self.net = nn.Sequential(*(nn.Sequential(*pair) for pair in zip(self.net, made, strict=True)))
            self.stages = tuple(str(i) for i in range(len(made)))
        else:
            blocks = [m for m in self.net.modules() if isinstance(m, BasicBlock | Bottleneck)]
            if not blocks:
                raise ValueError(
                    f"`model.attention_at`: {where} needs a residual network of torchvision. Use last or every_stage."
                )
            blocks = blocks[-1:] if where == "last_block" else blocks
            norms = ["bn3" if isinstance(block, Bottleneck) else "bn2" for block in blocks]
            made = [
                attention(getattr(block, norm).num_features)
                for block, norm in zip(blocks, norms, strict=True)
            ]
            for block, norm, module in zip(blocks, norms, made, strict=True):
                setattr(block, norm, nn.Sequential(getattr(block, norm), module))
        if any(getattr(m, "binocular", False) or getattr(m, "image_flips", False) for m in made):
            raise ValueError(
                f"`model.attention_at`: {where} suits attentions that need one map only. Use last for this attention."
            )
        return self
