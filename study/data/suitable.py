"""What the data part of a trial asks of its samples, its head and its loss; looked at before any training."""

from study.data.pairs import Pairs
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
        raise SpecError(f"`data.align`: `{data.align}` needs samples that are pairs of eyes, got single images. Set it to none.")
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
    if cutmix.kind == "same_label" and training.eye_weight and pairs.num_views == 2 and not _takes_shares(spec):
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
    losses = [name for name in components.names("loss") if getattr(components.load("loss", name), "soft_targets", False)]
    heads = [name for name in components.names("head") if getattr(components.load("head", name), "soft_targets", True)]
    return f"take one of the losses {', '.join(losses)} with one of the heads {', '.join(heads)}"
