"""The features of a trial with a frozen backbone: how they are made, and the batches that training gets.

Where the frozen parts of a network see only images that are known beforehand, they run once for each image.
The trial then works from what they gave, with the samples and the random choices that it would have had.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from models.siamese import SiameseNet
from study.data.augmentation import Augmentation
from study.data.batches import Batches
from study.data.cohort import Cohort
from study.data.cutmix import CutMix
from study.data.feature_batches import Choose, FeatureBatches
from study.data.features import Encode, FeatureSet, Shape
from study.data.turns import DrawnPass, OnePass, TurnedViews
from study.engine.training.feature_plan import FeaturePlan
from study.engine.training.heap import kept_heap
from study.engine.training.principal import keep_components, spread
from study.engine.training.trained_state import frozen_hash
from study.engine.training.workers import WorkerGroup
from study.spec.trial_spec import TrialSpec

IMAGES_AT_A_TIME = 32  # flipped ones included: a pass over any number takes little memory, with a ViT-L, too


@dataclass(frozen=True, kw_only=True, eq=False)
class TrialFeatures:
    """The features that a trial works from.

    Attributes:
        spec: The trial.
        plan: Which features there are.
        turned: Every sample, turned in each way of the plan.
        bank: Augmented versions of the training samples, where the plan has any.
        device: Where batches go.
    """

    spec: TrialSpec
    plan: FeaturePlan
    turned: FeatureSet
    bank: FeatureSet | None
    device: torch.device

    def training_batches(self, rows: Int[np.ndarray, " n"], group: WorkerGroup) -> FeatureBatches:
        """Batches of the training split, drawn as the specification says.

        Args:
            rows: Positions of its samples.
            group: Workers that train together.
        """
        training, flips = self.spec.training, self.spec.data.augmentation
        kept, positions = self.turned, rows
        choose: Choose = self._views(flip=flips.flip, flip_vertical=flips.flip_vertical)
        if self.bank is not None:
            kept, positions = self.bank, np.arange(len(rows))
            choose = DrawnPass(self.plan.bank, self.plan.num_views)
        return FeatureBatches(
            kept,
            positions,
            choose,
            batch_size=max(2, training.batch_size // group.size),
            device=self.device,
            seed=training.seed,
            order=training.sampling,
            rank=group.rank,
            world_size=group.size,
        )

    def evaluation_batches(
        self, rows: Int[np.ndarray, " n"], batch_size: int, *, exchange: bool
    ) -> FeatureBatches:
        """Batches of samples as they are, in the given order.

        Args:
            rows: Positions of the samples.
            batch_size: Number of samples in a batch.
            exchange: Whether to take the mirror image of each patient, with the eyes exchanged.
        """
        views = self._views(exchange=exchange)
        return FeatureBatches(self.turned, rows, views, batch_size=batch_size, device=self.device)

    def _views(self, **settings: bool) -> TurnedViews:
        aligned = self.spec.data.align != "none"
        return TurnedViews(turns=self.plan.turns, num_views=self.plan.num_views, aligned=aligned, **settings)


@dataclass(frozen=True, kw_only=True, eq=False)
class FeatureMaker:
    """Makes the features of a trial.

    Attributes:
        spec: The trial.
        net: Its network on the device.
        cohort: Its data.
        device: Device of the network.
        bfloat16: Whether the network runs in bfloat16.
        progress: Called with the samples done and their total while features are made.
    """

    spec: TrialSpec
    net: SiameseNet
    cohort: Cohort
    device: torch.device
    bfloat16: bool
    progress: Callable[[int, int], None] | None = None

    def open(self, most_gb: float) -> TrialFeatures | None:
        """The features, made first where they do not exist; None where the trial works from images.

        The network gets its principal components, where it wants some.

        Args:
            most_gb: Gigabytes of disk that they may take; a trial that needs more works from images.

        Raises:
            ResourceError: The trial wants a bank, for which there is no place.
            StorageError: The features cannot be written.
        """
        num_samples, rows = len(self.cohort.pairs), self.cohort.rows("train")
        plan = FeaturePlan.of(self.spec, self.net, self.cohort.pairs.num_views)
        if plan is None or not plan.has_place(num_samples, len(rows), most_gb):
            self._set_components(self._maps_of_images(spread(rows)))
            return None
        turned = self._turned(plan, num_samples)
        self._set_components(self._kept_maps(plan, turned, spread(rows)))
        return TrialFeatures(
            spec=self.spec,
            plan=plan,
            turned=self._features(plan, turned),
            bank=self._features(plan, self._bank(plan, rows)) if plan.bank else None,
            device=self.device,
        )

    def _turned(self, plan: FeaturePlan, num_samples: int) -> "_Passes":
        """All samples, turned in each way."""
        rows = np.arange(num_samples)
        passes = (self._batches(rows, augmentation=turn) for turn in plan.turns)
        return _Passes(plan.turns, passes, len(plan.turns), num_samples)

    def _bank(self, plan: FeaturePlan, rows: Int[np.ndarray, " n"]) -> "_Passes":
        """The augmented training samples, which do not depend on the trial's seed: all seeds share them."""
        data = self.spec.data
        settings: dict[str, Any] = {
            "augmentation": Augmentation(**data.augmentation.model_dump(exclude={"cutmix"})),
            "cutmix": CutMix(**data.augmentation.cutmix.model_dump()),
            "align": data.align,
        }
        passes = (self._batches(rows, **settings, seed=number) for number in range(plan.bank))
        return _Passes([self.cohort.split_hash, *settings.values()], passes, plan.bank, len(rows))

    def _batches(self, rows: Int[np.ndarray, " n"], **settings: Any) -> Batches:
        return Batches(
            self.cohort.cache,
            rows,
            batch_size=self._samples_at_a_time,
            device=self.device,
            normalise=self.spec.data.normalise,
            **settings,
        )

    def _features(self, plan: FeaturePlan, wanted: "_Passes") -> FeatureSet:
        """Features of these passes: from kept maps where there are some, and from images else."""
        maps = self._maps(plan, wanted)
        if not plan.condenses:
            assert maps is not None
            return maps
        shape = Shape(wanted.num, wanted.num_samples, plan.num_views, plan.of_view)
        key = [*self._key, *wanted.changes, *self._condensed_key]
        kept = FeatureSet.named(self._folder, key, shape)
        if maps is None:
            return self._run_backbone(kept, wanted, self.net.features, shape)
        rows = np.arange(wanted.num_samples)
        passes = (
            FeatureBatches(
                maps, rows, OnePass(i, plan.num_views), batch_size=self._samples_at_a_time, device=self.device
            )
            for i in range(wanted.num)
        )
        return kept.make(passes, partial(self._encode, self.net.condense), shape)

    def _run_backbone(
        self, kept: FeatureSet, wanted: "_Passes", function: Encode, shape: Shape
    ) -> FeatureSet:
        """Makes features from images, where they do not exist."""
        if kept.exists:
            return kept
        with kept_heap():
            return kept.make(wanted.batches, partial(self._encode, function), shape, self.progress)

    def _maps(self, plan: FeaturePlan, wanted: "_Passes") -> FeatureSet | None:
        """What the frozen parts give; None where this trial needs none and no other one has made it."""
        shape = Shape(wanted.num, wanted.num_samples, plan.num_views, plan.of_map)
        kept = FeatureSet.named(self._folder, [*self._key, *wanted.changes], shape)
        if plan.keeps_maps:
            return self._run_backbone(kept, wanted, self.net.frozen_maps, shape)
        return kept if kept.exists else None

    def _kept_maps(
        self, plan: FeaturePlan, turned: "_Passes", rows: Int[np.ndarray, " n"]
    ) -> Iterator[Float[Tensor, "n c h w"]]:
        """Maps of training images as they are, from those that are kept."""
        maps = self._maps(plan, turned)
        assert maps is not None
        aligned = self.spec.data.align != "none"
        views = TurnedViews(turns=plan.turns, num_views=plan.num_views, aligned=aligned)
        for features, *_ in FeatureBatches(
            maps, rows, views, batch_size=self._samples_at_a_time, device=self.device
        ):
            yield features.flatten(0, 2)

    def _maps_of_images(self, rows: Int[np.ndarray, " n"]) -> Iterator[Float[Tensor, "n c h w"]]:
        """Maps of training images as they are."""
        for images, *_ in self._batches(rows, align=self.spec.data.align):
            yield self._encode(self.net.frozen_maps, images).flatten(0, 2)

    def _set_components(self, maps: Iterator[Float[Tensor, "n c h w"]]) -> None:
        """Gives the network its principal components, where it wants some; they are found once.

        Those that are trained have come with the weights of another trial.
        """
        components = self.net.backbone.components
        if components is not None and not components.weight.requires_grad:
            key = [*self._key, self.spec.data.align, *self._components_key]
            whiten = self.spec.model.backbone.whiten
            keep_components(self._folder, key, components, maps, whiten=whiten)

    def _encode(self, function: Encode, inputs: Float[Tensor, "b v *i"]) -> Float[Tensor, "b v f *s"]:
        with (
            torch.inference_mode(),
            torch.autocast(inputs.device.type, torch.bfloat16, enabled=self.bfloat16),
        ):
            return function(inputs)

    @property
    def _samples_at_a_time(self) -> int:
        of_sample = self.cohort.pairs.num_views * (3 if self.net.image_flips else 1)
        return max(1, IMAGES_AT_A_TIME // of_sample)

    @property
    def _folder(self) -> Path:
        return self.cohort.cache.folder.parent

    @cached_property
    def _key(self) -> Sequence[object]:
        """What decides the maps of an image."""
        images, backbone, net = self.cohort.cache, self.spec.model.backbone, self.net
        return [
            images.folder.name,  # named by the photographs and their preprocessing
            images.pairs.fingerprint,
            self.spec.data.normalise,
            backbone.name,
            backbone.drop_stages,
            len(net.backbone.frozen_parts),
            net.image_flips,
            "bfloat16" if self.bfloat16 else "float32",
            frozen_hash(net.backbone),
        ]

    @property
    def _components_key(self) -> Sequence[object]:
        """What decides the principal components of the maps."""
        backbone = self.spec.model.backbone
        return [self.cohort.split_hash, backbone.reduce, backbone.whiten]

    @property
    def _condensed_key(self) -> Sequence[object]:
        """What is made of the maps."""
        reduced = self._components_key if self.net.backbone.components is not None else []
        return [*reduced, self.spec.model.pooling if self.net.keeps_vectors else "maps"]


@dataclass(frozen=True)
class _Passes:
    """Passes over the same samples, each with another change of the images.

    Attributes:
        changes: What the changes are; it names the features.
        batches: The images of each pass.
        num: Number of passes.
        num_samples: Number of samples.
    """

    changes: Sequence[object]
    batches: Iterable[Batches]
    num: int
    num_samples: int
