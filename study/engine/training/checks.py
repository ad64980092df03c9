"""Checks before any training: the settings of a trial suit its samples, and its components fit together."""

import torch

from models.contracts import Head, LateFusion, Loss, MapBlock
from models.siamese import SiameseNet
from study.data.pairs import Pairs
from study.engine.training.feature_plan import why_images, why_images_by_file
from study.engine.training.network import (
    build_criterion,
    build_head,
    build_network,
    label_sets,
    without_weights,
)
from study.engine.training.principal import require_frozen_whole
from study.spec import components
from study.spec.errors import SpecError
from study.spec.trial_spec import TrialSpec

BANK_NEEDS = "`training.feature_bank`: needs a frozen backbone, and training images that are real"


def check_suits(spec: TrialSpec, pairs: Pairs) -> None:
    """Refuses settings that make no sense for these samples.

    Raises:
        SpecError: Eyes of single images are to be aligned, batches of multilabel samples are to be balanced
            by class, a network is to learn from eyes that it cannot judge one by one, a bank of features is
            wanted of a backbone that is trained, or labels are to be mixed for a loss or head that needs
            whole labels.
    """
    data, training = spec.data, spec.training
    if data.align != "none" and pairs.num_views == 1:
        raise SpecError(
            f"`data.align`: `{data.align}` needs samples that are pairs of eyes, got single images. "
            "Set it to none."
        )
    if training.sampling == "class_balanced" and pairs.kind == "multilabel":
        raise SpecError(
            "`training.sampling`: `class_balanced` needs exactly one label a sample, "
            "got a data set of kind multilabel. Set it to shuffle."
        )
    if training.supervision == "eyes":
        _require_single_eyes(spec, pairs)
    if training.feature_bank and (reason := why_images_by_file(spec)):
        raise SpecError(f"{BANK_NEEDS}, got a trial in which {reason}. Set it to 0.")
    if data.augmentation.cutmix.probability > 0 and not _takes_shares(spec):
        _require_whole_labels(spec, pairs)


def _require_single_eyes(spec: TrialSpec, pairs: Pairs) -> None:
    """Passes where the network judges each eye by itself, and the labels of eyes are known.

    Raises:
        SpecError: Something between image and logits sees both eyes, or there are no labels of eyes.
    """
    model = spec.model
    blocks = [
        (kind, component.name)
        for kind, component in (("context", model.context), ("attention", model.attention))
        if _block(kind, component.name).binocular
    ]
    rule = "`training.supervision`: `eyes` needs"
    if pairs.num_views == 1:
        raise SpecError(f"{rule} samples that are pairs of eyes, got single images. Set it to sample.")
    if not (pairs.view_targets >= 0).all(-1).any():
        raise SpecError(f"{rule} labels of single eyes, got none in this data set. Set it to sample.")
    if not issubclass(components.load("fusion", model.fusion.name), LateFusion):
        raise SpecError(
            f"{rule} a fusion of each eye's decisions, got `{model.fusion.name}`. Set model.fusion to late."
        )
    for kind, name in blocks:
        raise SpecError(f"{rule} parts that see one eye, got the {kind} `{name}`. Take one for single eyes.")
    if not _loss(spec.loss.name).trains_head:
        raise SpecError(f"{rule} a loss that reads the logits, got `{spec.loss.name}`. Take another loss.")
    if spec.training.eye_weight:
        raise SpecError(
            f"{rule} `training.eye_weight` to be 0, since there is no other part to weigh against."
        )


def _block(kind: str, name: str) -> type[MapBlock]:
    block: type[MapBlock] = components.load(kind, name)
    return block


def _require_whole_labels(spec: TrialSpec, pairs: Pairs) -> None:
    """Refuses mixed labels, for a loss and a head that need whole labels.

    Raises:
        SpecError: CutMix mixes the labels of samples, or those of eyes that the loss learns from.
    """
    kind = spec.data.augmentation.cutmix.kind
    loss, head = spec.loss.name, spec.model.head.name
    parts = f"the loss `{loss}` with the head `{head}`, which need whole labels"
    if kind == "standard":
        raise SpecError(
            f"`data.augmentation.cutmix.kind`: `standard` mixes labels, got {parts}. "
            f"Set it to same_label, or {_remedy()}."
        )
    learns_from_eyes = spec.training.eye_weight or spec.training.supervision == "eyes"
    if kind == "same_label" and learns_from_eyes and pairs.num_views == 2:
        key = "supervision" if spec.training.supervision == "eyes" else "eye_weight"
        raise SpecError(
            "`data.augmentation.cutmix.kind`: `same_label` mixes the labels of each eye, which "
            f"`training.{key}` learns from, got {parts}. Set that to its default, or {_remedy()}."
        )


def _takes_shares(spec: TrialSpec) -> bool:
    """Whether loss and head take labels between 0 and 1."""
    return _loss(spec.loss.name).soft_targets and _head(spec.model.head.name).soft_targets


def _loss(name: str) -> type[Loss]:
    loss: type[Loss] = components.load("loss", name)
    return loss


def _head(name: str) -> type[Head]:
    head: type[Head] = components.load("head", name)
    return head


def _remedy() -> str:
    losses = ", ".join(name for name in components.names("loss") if _loss(name).soft_targets)
    heads = ", ".join(name for name in components.names("head") if _head(name).soft_targets)
    return f"take one of the losses {losses} with one of the heads {heads}"


def check_fits(spec: TrialSpec, pairs: Pairs, *, goes_on: bool = False) -> None:
    """Builds the network without memory for its weights, to find what does not fit before any training.

    Args:
        spec: The trial.
        pairs: The data set.
        goes_on: Whether the trial starts from another one's weights, its principal components included.

    Raises:
        SpecError: A component does not fit the data or another component.
    """
    _check_declarations(spec, pairs)
    num_labels, image_px = len(pairs.labels), spec.data.image_px
    sets = label_sets(torch.from_numpy(pairs.targets).float())
    with torch.device("meta"):
        net = build_network(without_weights(spec), num_labels, pairs.num_views, sets).eval()
        _require_depths(spec, net)
        if not goes_on:
            require_frozen_whole(net)
        if spec.training.feature_bank and (reason := why_images(spec, net)):
            raise SpecError(f"{BANK_NEEDS}, got a network in which {reason}. Set it to 0.")
        images = torch.empty(2, pairs.num_views, 3, image_px, image_px)
        try:
            net(images)
        except (ValueError, RuntimeError) as error:
            raise SpecError(f"`model`: the parts must fit together at {image_px} px, got: {error}") from None
    net.head = build_head(spec.model.head, 2, num_labels, sets)  # one with memory, to encode labels
    build_criterion(spec, net, torch.eye(num_labels))


def _check_declarations(spec: TrialSpec, pairs: Pairs) -> None:
    """Compares what data, head and loss say about the number of labels in a sample.

    Raises:
        SpecError: They contradict each other.
    """
    head, loss = _head(spec.model.head.name), _loss(spec.loss.name)
    if pairs.kind == "multilabel" and not head.multilabel_data:
        fitting = [name for name in components.names("head") if _head(name).multilabel_data]
        raise SpecError(
            f"`model.head`: labels of kind {pairs.kind} need a head for several labels a sample, "
            f"got `{spec.model.head.name}`. Take one of {', '.join(fitting)}."
        )
    if loss.exclusive not in (None, head.exclusive):
        fitting = [
            name for name in components.names("loss") if _loss(name).exclusive in (None, head.exclusive)
        ]
        number = "exactly one label" if head.exclusive else "any number of labels"
        raise SpecError(
            f"`loss`: `{spec.loss.name}` does not fit the head `{spec.model.head.name}`, whose targets have "
            f"{number}. Take one of {', '.join(fitting)}."
        )


def _require_depths(spec: TrialSpec, net: SiameseNet) -> None:
    """Passes where the learning rate does not decay with the depth, or where the depths are known.

    Raises:
        SpecError: The rate decays and the stages of the backbone are not known.
    """
    if spec.optimiser.layer_decay < 1:
        try:
            net.backbone.depths()
        except ValueError as error:
            name = spec.model.backbone.name
            raise SpecError(
                f"`optimiser.layer_decay`: must be 1 for {name}, whose stages are not known. {error}"
            ) from None
