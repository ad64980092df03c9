"""From a TrialSpec to a network and a loss."""

from pathlib import Path

import torch
from torch import Tensor, nn

from models.backbones import Backbone, build_backbone
from models.siamese import SiameseNet
from study.data.pairs import Pairs
from study.spec import components
from study.spec.errors import SpecError, WeightsError
from study.spec.study_file import BackboneSpec, ModelSpec, TrialSpec


def build_network(model: ModelSpec, image_px: int, num_labels: int, num_views: int, weights: dict[str, Path]) -> SiameseNet:
    """The siamese network of a trial.

    Args:
        model: the slots.
        image_px: side of the images.
        num_labels: outputs of the head.
        num_views: images of a sample.
        weights: local files for backbones with `imagenet` weights, by name.

    Raises:
        WeightsError: pretrained weights are not there or do not fit.
        SpecError: two components do not fit together.
    """
    backbone = load_backbone(model.backbone, image_px, weights)
    try:
        context = components.build("context", model.context, backbone.out_channels)
        attention = components.build("attention", model.attention, context.out_channels)
        pooling = components.build("pooling", model.pooling, context.out_channels)
        fusion = components.build("fusion", model.fusion, context.out_channels, num_views)
        head = components.build("head", model.head, model.embedding.dim or fusion.out_features, num_labels)
        vector = model.embedding
        return SiameseNet(
            backbone, context, attention, fusion, head, embedding_dim=vector.dim, l2norm=vector.l2norm, pooling=pooling
        )
    except ValueError as error:
        raise SpecError(str(error)) from None


def load_backbone(backbone: BackboneSpec, image_px: int, weights: dict[str, Path]) -> Backbone:
    """The backbone with its weights; arguments and errors as in `build_network`."""
    source = backbone.weights
    if source == "imagenet":
        source = str(weights.get(backbone.name, "imagenet"))
    try:
        return build_backbone(backbone.name, weights=source, freeze=backbone.freeze, image_px=image_px)
    except (ValueError, FileNotFoundError) as error:
        raise (SpecError if source == "none" else WeightsError)(str(error)) from None


def build_loss(spec: TrialSpec, prevalence: Tensor) -> nn.Module:
    """The loss of a trial, told the share of training samples that carry each label."""
    try:
        loss: nn.Module = components.build("loss", spec.loss, prevalence)
    except ValueError as error:
        raise SpecError(str(error)) from None
    return loss


def check_fits(spec: TrialSpec, pairs: Pairs) -> None:
    """Builds the network without memory for its weights, to find what does not fit before any training.

    Raises:
        SpecError: a component does not fit the data or another component.
    """
    exclusive = pairs.kind != "multilabel"
    wants = components.load("loss", spec.loss.name).exclusive
    if wants is not None and wants != exclusive:
        needed = "one label for each sample" if wants else "labels that can occur together"
        raise SpecError(f"`loss`: `{spec.loss.name}` needs {needed}, got {pairs.dataset}, whose labels are of kind {pairs.kind}.")
    head = spec.model.head.name
    if exclusive == (head == "multi_label"):
        raise SpecError(f"`model.head`: labels of kind {pairs.kind} need {'softmax' if exclusive else 'a multi-label head'}, got `{head}`.")
    build_loss(spec, torch.full((len(pairs.labels),), 0.5))
    bare_backbone = spec.model.backbone.model_copy(update={"weights": "none"})
    with torch.device("meta"):
        model = spec.model.model_copy(update={"backbone": bare_backbone})
        net = build_network(model, spec.data.image_px, len(pairs.labels), pairs.num_views, {}).eval()
        images = torch.empty(2, pairs.num_views, 3, spec.data.image_px, spec.data.image_px)
        try:
            net(images)
        except (ValueError, RuntimeError) as error:
            raise SpecError(f"`model`: the parts must fit together at {spec.data.image_px} px, got: {error}") from None
