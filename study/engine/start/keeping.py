"""Runs the frozen backbones of a study once, before the first trial, and says which trials gain by it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import torch

from study.data.pairs import Pairs
from study.engine.training.feature_plan import (
    inexact_changes,
    kept_sets,
    num_training,
    plan_features,
    why_images_by_file,
)
from study.engine.training.session import TrainingSession
from study.spec.resources import ResourcesSpec
from study.spec.trial_spec import TrialSpec
from study.spec.wording import size_text

BANK = 8  # versions that the remedy names


@dataclass(frozen=True)
class FrozenBackbone:
    """What happens with a frozen backbone.

    Attributes:
        name: Name of the backbone, and how much of it is frozen.
        num_bytes: Bytes of its features; 0 where trials work from images.
        reason: Why trials work from images, with the remedy; empty where they do not.
    """

    name: str
    num_bytes: int
    reason: str = ""

    def __str__(self) -> str:
        """What a person reads."""
        if self.num_bytes:
            return f"{self.name}: run once for each image, {size_text(self.num_bytes)} of features"
        return f"{self.name}: run for each image in every epoch, since {self.reason}"


def frozen_backbones(
    trials: Sequence[TrialSpec], pairs: Pairs, most_gb: float
) -> Mapping[FrozenBackbone, Sequence[TrialSpec]]:
    """Each frozen backbone, once with all its features and once with each reason against some.

    Args:
        trials: Trials that stand for all of the study.
        pairs: The data set.
        most_gb: `resources.features_gb`.

    Returns:
        What happens with each backbone, with one trial for each set of features. Trials that keep maps come
        first, since the others' features are taken from them.

    Raises:
        ResourceError: A trial wants a bank of features that is too large.
    """
    sets: dict[str, dict[str, int]] = {}
    makers: dict[str, list[tuple[bool, TrialSpec]]] = {}
    working_from_images: dict[FrozenBackbone, Sequence[TrialSpec]] = {}
    for trial in trials:
        backbone = trial.model.backbone
        if backbone.freeze in ("none", 0):
            continue
        frozen = "frozen" if backbone.freeze == "all" else f"{backbone.freeze} stages frozen"
        name = f"{backbone.name} at {trial.data.image_px} px, {frozen}"
        plan = plan_features(trial, pairs, most_gb)
        if plan is None:
            working_from_images[FrozenBackbone(name, 0, _reason(trial))] = []
            continue
        wanted = kept_sets(trial, plan, len(pairs), num_training(trial, pairs))
        if wanted.keys() - sets.setdefault(name, {}).keys():
            makers.setdefault(name, []).append((not plan.keeps_maps, trial))
        sets[name] |= wanted
    kept = {
        FrozenBackbone(name, sum(of_name.values())): [
            trial for _, trial in sorted(makers[name], key=lambda made: made[0])
        ]
        for name, of_name in sets.items()
    }
    return {**kept, **working_from_images}


def _reason(trial: TrialSpec) -> str:
    reason = why_images_by_file(trial)
    if reason and inexact_changes(trial.data.augmentation) and trial.data.generated is None:
        return (
            f"{reason}; set these to 0, or `training.feature_bank: {BANK}` for so many versions of an image"
        )
    return reason or (
        "no leading part of the network is frozen whole, "
        "or its features need more than `resources.features_gb`"
    )


def run_frozen_backbones(
    trials: Sequence[TrialSpec],
    pairs: Pairs,
    cache: Path,
    resources: ResourcesSpec,
    progress: Callable[[int, int], None],
) -> list[FrozenBackbone]:
    """Makes the features that trials will work from, where the trials run on this machine.

    On a cluster the first trial of each machine makes them there: this process may have no GPU.

    Args:
        trials: Trials that stand for all of the study.
        pairs: The data set.
        cache: Folder of all image caches.
        resources: Where trials run, and the bound of the features.
        progress: Called with the samples done and their total.

    Raises:
        StudyError: Whatever `TrainingSession` raises.
    """
    on_gpu = torch.cuda.is_available() and resources.gpus_per_worker != 0
    device = torch.device("cuda", 0) if on_gpu else torch.device("cpu")
    found = frozen_backbones(trials, pairs, resources.features_gb)
    for trial in chain.from_iterable(found.values()) if resources.address == "local" else ():
        TrainingSession.from_spec(trial, cache, device, resources.features_gb, progress)
    torch.cuda.empty_cache()  # this process lives on beside the trials
    return list(found)
