"""Builds the network and the criterion of a trial."""

from collections.abc import Mapping
from copy import deepcopy
from functools import lru_cache
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

from models.backbones import StagedBackbone, build_backbone
from models.contracts import Attention, Backbone, Context, Fusion, Head, Loss, Pooling
from models.output import Output
from models.siamese import SiameseNet
from study.spec import components
from study.spec.components import Component
from study.spec.errors import SpecError, WeightsError
from study.spec.trial_spec import TrialSpec


class Criterion(nn.Module):
    """L(output, encode(y)) + weight · L(output of each eye, encode(y of the eye)), or the second part alone.

    The second part is over the eyes whose labels are known.

    Attributes:
        loss: Loss of the trial.
        eye_weight: Weight of the eyes' part; 0 leaves it out.
        eyes_alone: Whether the eyes' part, with weight 1, is all.
        trains_head: Whether the loss trains the head.
    """

    def __init__(self, loss: Loss, head: Head, eye_weight: float, *, eyes_alone: bool = False) -> None:
        """Puts the parts together.

        Args:
            loss: Loss of the trial.
            head: Head of the network. It says what its logits are compared with; a loss that does not train
                the head is given the labels themselves.
            eye_weight: Weight of the eyes' part.
            eyes_alone: Whether to leave the samples' part out.
        """
        super().__init__()
        self.loss = loss
        self.eye_weight = eye_weight
        self.eyes_alone = eyes_alone
        self.trains_head = loss.trains_head
        self._encode = head.encode if loss.trains_head else _as_they_are

    def forward(self, output: Output, targets: Tensor, view_targets: Tensor) -> Tensor:
        """The loss of a batch.

        Args:
            output: What the network gave.
            targets: Labels of each sample, 0 or 1, "b l".
            view_targets: Labels of each eye, "b v l"; -1 where they are not known.
        """
        if self.eyes_alone:
            return self._of_eyes(output, view_targets)
        value: Tensor = self.loss(output, self._encode(targets))
        return value + self.eye_weight * self._of_eyes(output, view_targets) if self.eye_weight else value

    def _of_eyes(self, output: Output, view_targets: Tensor) -> Tensor:
        """The loss of the eyes whose labels are known; 0 where none is."""
        known = (view_targets >= 0).all(-1)
        if not known.any():
            return output.logits.sum() * 0  # a gradient of zero, for the optimiser's step
        value: Tensor = self.loss(output.per_eye(known), self._encode(view_targets[known]))
        return value


def _as_they_are(targets: Tensor) -> Tensor:
    return targets


def build_network(
    spec: TrialSpec, num_labels: int, num_views: int, label_sets: Tensor | None = None
) -> SiameseNet:
    """The siamese network of a trial.

    Args:
        spec: The trial.
        num_labels: Number of labels.
        num_views: Number of images of a sample.
        label_sets: Distinct rows of labels in training, for a head that wants label sets.

    Raises:
        WeightsError: The pretrained weights are not there or do not fit.
        SpecError: Two components do not fit together.
    """
    backbone = load_backbone(spec)
    try:
        return _assemble(spec, backbone, num_labels, num_views, label_sets)
    except ValueError as error:
        raise SpecError(str(error)) from None


def _assemble(
    spec: TrialSpec, backbone: Backbone, num_labels: int, num_views: int, label_sets: Tensor | None
) -> SiameseNet:
    """Builds the parts, each with the sizes of the parts before it.

    The order of the parts decides which random numbers each of them starts with.
    """
    model = spec.model
    last = model.attention
    if model.attention_at != "last" and last.name != "none":
        backbone.attend(lambda channels: build_attention(model.attention, channels), model.attention_at)
        last = Component(name="none")
    if model.backbone.reduce:
        backbone.reduce(model.backbone.reduce)
    context: Context = components.build("context", model.context, backbone.out_channels)
    channels = context.out_channels
    pooling: Pooling = components.build("pooling", model.pooling, channels)
    fusion: Fusion = components.build("fusion", model.fusion, channels, num_views)
    attention = build_attention(last, channels)
    width = model.embedding.dim or fusion.out_features
    head = build_head(model.head, width, num_labels, label_sets)
    view_head = None
    if spec.training.eye_weight:
        view_head = build_head(model.head, channels, num_labels, label_sets)
    return SiameseNet(
        backbone,
        context,
        attention,
        fusion,
        head,
        embedding_dim=model.embedding.dim,
        l2norm=model.embedding.l2norm,
        pooling=pooling,
        view_head=view_head,
    )


def rebuild_network(
    spec: TrialSpec, num_labels: int, num_views: int, state: Mapping[str, Tensor]
) -> SiameseNet:
    """The network of a finished trial, with the weights that the trial stored; label sets are among them."""
    net = build_network(without_weights(spec), num_labels, num_views, state.get("head.sets"))
    net.load_state_dict(state)
    return net


def label_sets(targets: Tensor) -> Tensor:
    """The distinct rows of labels, in a fixed order."""
    rows: Tensor = torch.unique(targets, dim=0)
    return rows


def build_attention(attention: Component, channels: int) -> Attention:
    """An attention for a number of channels."""
    built: Attention = components.build("attention", attention, channels)
    return built


def build_head(head: Component, in_features: int, num_labels: int, label_sets: Tensor | None) -> Head:
    """A head with its sizes, and with the label sets of training where it wants them."""
    kind: type[Head] = components.load("head", head.name)
    wanted = (label_sets,) if kind.wants_label_sets else ()
    built: Head = components.build("head", head, in_features, num_labels, *wanted)
    return built


def load_backbone(spec: TrialSpec) -> Backbone:
    """The backbone with its weights; errors as in `build_network`.

    Pretrained weights draw no random numbers, so that the parts behind them start as they would without. A
    pretrained network that stays as it is is read once for the trials of a process.
    """
    wanted = spec.model.backbone
    source = wanted.weights
    if source == "imagenet":
        source = str(spec.weights.get(wanted.name, "imagenet"))
    kept = source != "none" and wanted.freeze == "all" and spec.model.attention_at == "last"
    settings = (wanted.name, source, wanted.freeze, wanted.drop_stages, spec.data.image_px)
    try:
        with torch.random.fork_rng(devices=[], enabled=source != "none"):
            return _read_once(_state_of_file(source), *settings).shared() if kept else _build(*settings)
    except (ValueError, FileNotFoundError) as error:
        raise (SpecError if source == "none" else WeightsError)(str(error)) from None


def _build(
    name: str, weights: str, freeze: Literal["none", "all"] | int, drop_stages: int, image_px: int
) -> StagedBackbone:
    return build_backbone(name, weights=weights, freeze=freeze, drop_stages=drop_stages, image_px=image_px)


@lru_cache(maxsize=2)  # trials that choose between two networks take turns
def _read_once(
    file: tuple[int, int],
    name: str,
    weights: str,
    freeze: Literal["none", "all"] | int,
    drop_stages: int,
    image_px: int,
) -> StagedBackbone:
    """The backbone; a file that has changed is another one."""
    return _build(name, weights, freeze, drop_stages, image_px)


def _state_of_file(weights: str) -> tuple[int, int]:
    """Time of change and size of a file of weights; zeros where it is no file."""
    file = Path(weights)
    if not file.is_file():
        return 0, 0
    found = file.stat()
    return found.st_mtime_ns, found.st_size


def build_criterion(spec: TrialSpec, net: SiameseNet, targets: Tensor) -> Criterion:
    """The loss of a trial.

    Args:
        spec: The trial.
        net: Its network.
        targets: Labels of all training samples, 0 or 1; their prevalence may balance the loss.

    Raises:
        SpecError: An argument lies outside its range.
    """
    try:
        loss: Loss = components.build("loss", spec.loss, net.head.encode(targets).mean(0))
    except ValueError as error:
        raise SpecError(str(error)) from None
    training = spec.training
    return Criterion(loss, net.head, training.eye_weight, eyes_alone=training.supervision == "eyes")


def without_numbers(net: SiameseNet) -> SiameseNet:
    """A copy in evaluation mode with shapes but no numbers: nothing is computed, and it takes no memory."""
    shapes: dict[int, object] = {id(buffer): buffer.to("meta") for buffer in net.buffers()}
    for parameter in net.parameters():
        shapes[id(parameter)] = nn.Parameter(parameter.to("meta"), requires_grad=parameter.requires_grad)
    return deepcopy(net, shapes).eval()


def without_weights(spec: TrialSpec) -> TrialSpec:
    """The same trial without pretrained weights."""
    backbone = spec.model.backbone.model_copy(update={"weights": "none"})
    return spec.model_copy(update={"model": spec.model.model_copy(update={"backbone": backbone})})
