"""Which features a trial with a frozen backbone works from, and why a trial works from images."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Self

import torch

from models.siamese import SiameseNet
from study.data.features import Shape
from study.data.pairs import Pairs
from study.data.preprocessing import Preprocessing
from study.data.turns import Turn
from study.engine.training.network import build_network, label_sets, without_numbers, without_weights
from study.spec.data_section import AugmentationSpec
from study.spec.errors import ResourceError
from study.spec.trial_spec import TrialSpec

EXACT = ("flip", "flip_vertical")
"""Changes that give few images, all of which are known beforehand."""
UNCHANGED = AugmentationSpec(flip=False, rotate_deg=0, scale=0, brightness=0, contrast=0, saturation=0)


@dataclass(frozen=True, kw_only=True)
class FeaturePlan:
    """Which features a trial works from.

    Attributes:
        turns: How each image is turned for evaluation, and for training without a bank.
        bank: Number of augmented versions of each training sample; 0 where training needs none.
        of_map: Sizes of what the frozen parts give for one view.
        of_view: Sizes of the features of one view; others where the trial condenses the maps.
        condenses: Whether features are principal components of the maps, or vectors.
        keeps_maps: Whether the maps are kept, too. Components are fitted on them, and each number of
            components is soon made from them.
        num_views: Views of a sample.
    """

    turns: tuple[Turn, ...]
    bank: int
    of_map: tuple[int, ...]
    of_view: tuple[int, ...]
    condenses: bool
    keeps_maps: bool
    num_views: int

    @classmethod
    def of(cls, spec: TrialSpec, net: SiameseNet, num_views: int) -> Self | None:
        """The features of a trial; None where it works from images.

        Args:
            spec: The trial.
            net: Its network, which may be without memory.
            num_views: Views of a sample.
        """
        if why_images(spec, net):
            return None
        flips, bank = spec.data.augmentation, spec.training.feature_bank
        across = (False, True) if num_views == 2 or (flips.flip and not bank) else (False,)
        down = (False, True) if flips.flip_vertical and not bank else (False,)
        of_map = _sizes_of_map(spec, net)
        return cls(
            turns=tuple(Turn(*turn) for turn in product(across, down)),
            bank=bank,
            of_map=of_map,
            of_view=_sizes_of_features(net, of_map),
            condenses=net.condenses,
            keeps_maps=net.backbone.components is not None or not net.condenses,
            num_views=num_views,
        )

    def num_bytes(self, num_samples: int, num_training: int) -> int:
        """Bytes of all these features on the disk."""
        sizes = [self.of_map] * self.keeps_maps + [self.of_view] * self.condenses
        return sum(self.bytes_of(size, num_samples, num_training) for size in sizes)

    def bytes_of(self, size: tuple[int, ...], num_samples: int, num_training: int) -> int:
        """Bytes of all features, or of all maps, by the sizes of those of one view."""
        num = len(self.turns) * num_samples + self.bank * num_training
        return Shape(1, num, self.num_views, size).num_bytes

    def has_place(self, num_samples: int, num_training: int, most_gb: float) -> bool:
        """Whether the features may take that much of the disk.

        Args:
            num_samples: Number of all samples.
            num_training: How many of them are in the training split.
            most_gb: `resources.features_gb`.

        Raises:
            ResourceError: They may not, but the trial wants a bank, without which it would be another trial.
        """
        gigabytes = self.num_bytes(num_samples, num_training) / 1e9
        if self.bank and gigabytes > most_gb:
            raise ResourceError(
                f"`training.feature_bank`: must fit into `resources.features_gb`, got {gigabytes:.1f} GB "
                f"for {most_gb:g} GB. Take fewer versions, or allow more."
            )
        return gigabytes <= most_gb


_SIZES: dict[object, tuple[int, ...]] = {}  # a large network takes a second for them


def _sizes_of_map(spec: TrialSpec, net: SiameseNet) -> tuple[int, ...]:
    """Sizes of what the frozen parts give for one view; a process finds them once for each such part."""
    px, backbone = spec.data.image_px, spec.model.backbone
    num_frozen = len(net.backbone.frozen_parts)
    key = backbone.name, backbone.drop_stages, num_frozen, spec.model.attention_at, net.image_flips, px
    if key not in _SIZES:
        shapes = without_numbers(net)
        with torch.no_grad():
            maps = shapes.frozen_maps(torch.empty(1, 1, 3, px, px, device="meta"))
        _SIZES[key] = tuple(maps.shape[2:])
    return _SIZES[key]


def _sizes_of_features(net: SiameseNet, of_map: tuple[int, ...]) -> tuple[int, ...]:
    """Sizes of the features of one view, from those of its map."""
    if not net.condenses:
        return of_map
    flips, _, *places = of_map
    return (flips, net.backbone.out_channels, *(() if net.keeps_vectors else places))


def why_images(spec: TrialSpec, net: SiameseNet) -> str:
    """Why a trial must work from images; empty where it can work from features."""
    if reason := why_images_by_file(spec):
        return reason
    return "" if len(net.backbone.frozen_parts) else "no leading part of the network is frozen whole"


def why_images_by_file(spec: TrialSpec) -> str:
    """The same, as far as the specification says by itself."""
    if spec.model.backbone.freeze in ("none", 0):
        return "no leading stage of the backbone is frozen"
    if spec.data.generated is not None:
        return "`data.generated` makes training images"
    changes = [] if spec.training.feature_bank else inexact_changes(spec.data.augmentation)
    if changes:
        return f"`data.augmentation` gives ever new images by {', '.join(changes)}"
    return ""


def inexact_changes(augmentation: AugmentationSpec) -> Sequence[str]:
    """Names of the changes that give ever new images."""
    still, changed = (spec.model_dump(exclude={"cutmix", *EXACT}) for spec in (UNCHANGED, augmentation))
    names = [name for name, value in changed.items() if value != still[name]]
    return names if augmentation.cutmix.kind == "none" else [*names, "cutmix"]


def plan_features(spec: TrialSpec, pairs: Pairs, most_gb: float) -> FeaturePlan | None:
    """The features that a trial on these samples works from; None where it works from images.

    Args:
        spec: The trial.
        pairs: The data set.
        most_gb: `resources.features_gb`.

    Raises:
        ResourceError: The trial wants a bank that is too large.
    """
    if why_images_by_file(spec):
        return None
    with torch.device("meta"):
        sets = label_sets(torch.from_numpy(pairs.targets).float())
        net = build_network(without_weights(spec), len(pairs.labels), pairs.num_views, sets)
    plan = FeaturePlan.of(spec, net, pairs.num_views)
    fits = plan is not None and plan.has_place(len(pairs), num_training(spec, pairs), most_gb)
    return plan if fits else None


def images_key(spec: TrialSpec, plan: FeaturePlan) -> str:
    """What makes the maps of a trial different from those of another one, as far as its file says."""
    data, training = spec.data, spec.training
    backbone = spec.model.backbone.model_copy(update={"reduce": None, "whiten": False})  # behind the maps
    seed = None if backbone.pretrained else training.seed
    changes = (data.augmentation, data.align, data.split) if plan.bank else ()
    images = (Preprocessing.of(data), data.normalise)
    return repr((images, backbone, seed, training.precision, changes, plan.turns, plan.of_map))


def kept_sets(spec: TrialSpec, plan: FeaturePlan, num_samples: int, num_training: int) -> dict[str, int]:
    """Bytes of each set of features that a trial keeps, by what makes it different from those of others."""
    maps, backbone = images_key(spec, plan), spec.model.backbone
    found = {maps: plan.bytes_of(plan.of_map, num_samples, num_training)} if plan.keeps_maps else {}
    if plan.condenses:
        components = (backbone.reduce, backbone.whiten, spec.data.split) if plan.keeps_maps else None
        pooling = spec.model.pooling if len(plan.of_view) == 2 else None
        key = repr((maps, components, pooling))
        found[key] = plan.bytes_of(plan.of_view, num_samples, num_training)
    return found


def num_training(spec: TrialSpec, pairs: Pairs) -> int:
    """Samples of the training split, by its share."""
    return int(spec.data.split.train_share * len(pairs))
