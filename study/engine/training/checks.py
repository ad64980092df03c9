"""What the data part of a trial asks of its samples, its head and its loss; looked at before any training."""

import torch

from models.siamese import SiameseNet
from study.data.pairs import Pairs
from study.engine.training.network import (
    build_criterion,
    build_head,
    build_network,
    label_sets,
    without_weights,
)
from study.spec import components
from study.spec.errors import SpecError
from study.spec.trial_spec import TrialSpec


def check_suits(spec: TrialSpec, pairs: Pairs) -> None:
    """Refuses settings that make no sense for these samples.

    Raises:
        SpecError: eyes of single images are to be aligned, batches of several labels a sample to be balanced by class, or labels to
            be mixed for a loss or head that needs whole ones.
    """
    data, training = spec.data, spec.training
    if data.align != "none" and pairs.num_views == 1:
        raise SpecError(
            f"`data.align`: `{data.align}` needs samples that are pairs of eyes, got single images. Set it to none."
        )
    if training.sampling == "class_balanced" and pairs.kind == "multilabel":
        raise SpecError(
            "`training.sampling`: `class_balanced` needs exactly one label a sample, got a data set of kind multilabel. Set it to shuffle."
        )
    cutmix = data.augmentation.cutmix
    if cutmix.probability == 0:
        return
    if cutmix.kind == "standard" and not _takes_shares(spec):
        raise SpecError(
            f"`data.augmentation.cutmix.kind`: `standard` mixes labels, got {_parts(spec)}. Set it to same_label, or {_remedy()}."
        )
    if (
        cutmix.kind == "same_label"
        and training.eye_weight
        and pairs.num_views == 2
        and not _takes_shares(spec)
    ):
        raise SpecError(
            "`data.augmentation.cutmix.kind`: `same_label` mixes the labels of each eye, which `training.eye_weight` learns from, "
            f"got {_parts(spec)}. Set eye_weight to 0, or {_remedy()}."
        )


def _takes_shares(spec: TrialSpec) -> bool:
    loss, head = components.load("loss", spec.loss.name), components.load("head", spec.model.head.name)
    return getattr(loss, "soft_targets", False) and getattr(head, "soft_targets", True)


def _parts(spec: TrialSpec) -> str:
    return f"the loss `{spec.loss.name}` with the head `{spec.model.head.name}`, which need whole labels"


def _remedy() -> str:
    losses = [
        name
        for name in components.names("loss")
        if getattr(components.load("loss", name), "soft_targets", False)
    ]
    heads = [
        name
        for name in components.names("head")
        if getattr(components.load("head", name), "soft_targets", True)
    ]
    return f"take one of the losses {', '.join(losses)} with one of the heads {', '.join(heads)}"


def check_fits(spec: TrialSpec, pairs: Pairs) -> None:
    """Builds the network without memory for its weights, to find what does not fit before any training.

    Raises:
        SpecError: a component does not fit the data or another component.
    """
    head, loss = components.load("head", spec.model.head.name), components.load("loss", spec.loss.name)
    many = pairs.kind == "multilabel"
    if many and not head.multilabel_data:
        raise SpecError(
            f"`model.head`: labels of kind {pairs.kind} need a head for several labels a sample, got `{spec.model.head.name}`. "
            f"Take one of {', '.join(n for n in components.names('head') if components.load('head', n).multilabel_data)}."
        )
    if loss.exclusive not in (None, head.exclusive):
        works = [
            n
            for n in components.names("loss")
            if components.load("loss", n).exclusive in (None, head.exclusive)
        ]
        raise SpecError(
            f"`loss`: `{spec.loss.name}` does not fit the head `{spec.model.head.name}`, whose targets carry "
            f"{'exactly one label' if head.exclusive else 'any number of labels'}. Take one of {', '.join(works)}."
        )
    num_labels, image_px = len(pairs.labels), spec.data.image_px
    sets = label_sets(torch.from_numpy(pairs.targets).float())
    with torch.device("meta"):
        net = build_network(without_weights(spec), num_labels, pairs.num_views, sets).eval()
        _require_depths(spec, net)
        images = torch.empty(2, pairs.num_views, 3, image_px, image_px)
        try:
            net(images)
        except (ValueError, RuntimeError) as error:
            raise SpecError(f"`model`: the parts must fit together at {image_px} px, got: {error}") from None
    net.head = build_head(spec.model.head, 2, num_labels, sets)  # one with memory, to encode labels
    build_criterion(spec, net, torch.eye(num_labels))


def _require_depths(spec: TrialSpec, net: SiameseNet) -> None:
    if spec.optimiser.layer_decay < 1:
        try:
            net.backbone.depths()  # type: ignore[operator]
        except ValueError as error:
            name = spec.model.backbone.name
            raise SpecError(
                f"`optimiser.layer_decay`: must be 1 for {name}, whose stages are not known. {error}"
            ) from None
