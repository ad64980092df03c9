"""From a TrialSpec to a network and its criterion."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from models.backbones import build_backbone
from models.backbones._stages import Backbone
from models.siamese import Output, SiameseNet
from study.spec import components
from study.spec.components import Component
from study.spec.errors import SpecError, WeightsError
from study.spec.trial_spec import TrialSpec


class Criterion(nn.Module):
    """L(output, encode(y)) + weight · L(each eye's output, encode(the eye's y)), over eyes whose labels are known.

    Args:
        loss: the trial's loss.
        head: the network's head, which says what its logits are compared with; a metric loss sees the labels themselves.
        eye_weight: weight of the eyes' part, 0 leaves it out.
    """

    def __init__(self, loss: nn.Module, head: nn.Module, eye_weight: float) -> None:
        super().__init__()
        self.loss, self.eye_weight = loss, eye_weight
        self.trains_head = bool(loss.trains_head)
        self._encode: Callable[[Tensor], Tensor] = head.encode if self.trains_head else nn.Identity()  # type: ignore[assignment]

    def forward(self, output: Output, targets: Tensor, view_targets: Tensor) -> Tensor:
        """The loss of a batch; targets are 0 or 1, those of views -1 where unknown."""
        value: Tensor = self.loss(output, self._encode(targets))
        if self.eye_weight:
            known = (view_targets >= 0).all(-1)
            if known.any():
                value = value + self.eye_weight * self.loss(
                    output.per_eye(known), self._encode(view_targets[known])
                )
        return value


def build_network(
    spec: TrialSpec, num_labels: int, num_views: int, label_sets: Tensor | None = None
) -> SiameseNet:
    """The siamese network of a trial.

    Args:
        spec: the trial.
        num_labels: outputs of the head.
        num_views: images of a sample.
        label_sets: the label rows that occur in training, for a head that wants them.

    Raises:
        WeightsError: pretrained weights are not there or do not fit.
        SpecError: two components do not fit together.
    """
    model = spec.model
    backbone = load_backbone(spec)
    try:
        attention = model.attention
        if model.attention_at != "last" and attention.name != "none":
            inner = attention
            backbone.attend(
                lambda channels: components.build("attention", inner, channels), model.attention_at
            )
            attention = Component(name="none")
        context = components.build("context", model.context, backbone.out_channels)
        channels = context.out_channels
        pooling = components.build("pooling", model.pooling, channels)
        fusion = components.build("fusion", model.fusion, channels, num_views)
        vector = model.embedding
        return SiameseNet(
            backbone,
            context,
            components.build("attention", attention, channels),
            fusion,
            build_head(model.head, vector.dim or fusion.out_features, num_labels, label_sets),
            embedding_dim=vector.dim,
            l2norm=vector.l2norm,
            pooling=pooling,
            view_head=build_head(model.head, channels, num_labels, label_sets)
            if spec.training.eye_weight
            else None,
        )
    except ValueError as error:
        raise SpecError(str(error)) from None


def rebuild_network(
    spec: TrialSpec, num_labels: int, num_views: int, state: Mapping[str, Tensor]
) -> SiameseNet:
    """The network of a finished trial with the weights that it kept; label sets are among them."""
    net = build_network(without_weights(spec), num_labels, num_views, state.get("head.sets"))
    net.load_state_dict(state)
    return net


def label_sets(targets: Tensor) -> Tensor:
    """The distinct rows of labels, in a fixed order."""
    rows: Tensor = torch.unique(targets, dim=0)
    return rows


def build_head(head: Component, in_features: int, num_labels: int, sets: Tensor | None) -> nn.Module:
    """A head with its sizes, and with the label sets of training where it wants them."""
    wanted = (sets,) if getattr(components.load("head", head.name), "wants_label_sets", False) else ()
    built: nn.Module = components.build("head", head, in_features, num_labels, *wanted)
    return built


def load_backbone(spec: TrialSpec) -> Backbone:
    """The backbone with its weights; errors as in `build_network`."""
    wanted = spec.model.backbone
    source = wanted.weights
    if source == "imagenet":
        source = str(spec.weights.get(wanted.name, "imagenet"))
    try:
        return build_backbone(
            wanted.name,
            weights=source,
            freeze=wanted.freeze,
            drop_stages=wanted.drop_stages,
            image_px=spec.data.image_px,
        )
    except (ValueError, FileNotFoundError) as error:
        raise (SpecError if source == "none" else WeightsError)(str(error)) from None


def build_criterion(spec: TrialSpec, net: SiameseNet, targets: Tensor) -> Criterion:
    """The loss of a trial.

    Args:
        spec: the trial.
        net: its network.
        targets: labels of all training samples, 0 or 1; their prevalence may balance the loss.

    Raises:
        SpecError: an argument is out of its range.
    """
    try:
        loss: nn.Module = components.build("loss", spec.loss, net.head.encode(targets).mean(0))  # type: ignore[operator]
    except ValueError as error:
        raise SpecError(str(error)) from None
    return Criterion(loss, net.head, spec.training.eye_weight)


def without_weights(spec: TrialSpec) -> TrialSpec:
    """The same trial with a backbone as it is initialised."""
    backbone = spec.model.backbone.model_copy(update={"weights": "none"})
    return spec.model_copy(update={"model": spec.model.model_copy(update={"backbone": backbone})})
